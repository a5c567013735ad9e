import { NotFoundError, type ScanEvent } from "../../client/index.ts";
import { paths } from "../address.ts";
import { useLoaded } from "../hooks.ts";
import { usePage, useReloadOn } from "../page-context.ts";
import { Clock, Code, Loading, Problem, Tier, View } from "../parts/basics.tsx";
import { DeliveryList } from "../parts/delivery-list.tsx";
import { nameOf } from "../words.ts";
import { NotFound } from "./not-found.tsx";

/** One event, and what became of it. */
export function EventView({ id }: { id: string }) {
  const { client, webhooks } = usePage();
  const loaded = useLoaded(() => client.getEvent(id), [client, id]);
  useReloadOn(({ data }) => "event_id" in data && data.event_id === id, loaded.reload);
  if (loaded.error instanceof NotFoundError) return <NotFound what="There is no such event." />;
  const names = new Map(webhooks.value?.map((webhook) => [webhook.id, nameOf(webhook)]));
  const { event, deliveries } = loaded.value ?? {};
  return (
    <View title={event ? titleOf(event) : "Event"}>
      <Problem error={loaded.error} onRetry={loaded.reload} />
      {!event && loaded.isLoading && <Loading />}
      {event && (
        <>
          <header class="head">
            <p class="trail">
              <a href={paths.events}>All of them</a>
            </p>
            <div class="title">
              <h1>{titleOf(event)}</h1>
              <Tier tier={event.payload.tier} />
            </div>
            <p class="why">
              {event.payload.action}, risk score {event.payload.risk_score}; taken{" "}
              <Clock at={event.received_at} />.
            </p>
          </header>
          <h2>What became of it</h2>
          {deliveries?.length === 0 && (
            <p class="quiet">No webhook subscribed to it when it came, so it was sent to nobody.</p>
          )}
          {deliveries && (
            <DeliveryList
              deliveries={deliveries}
              nameFor={({ webhook_id }) => names.get(webhook_id) ?? "a webhook that is gone"}
            />
          )}
          <h2>What was taken</h2>
          <Code text={JSON.stringify(event.payload, null, 2)} label="The event" />
          <p class="quiet">
            <code>{event.id}</code>
          </p>
        </>
      )}
    </View>
  );
}

function titleOf(event: ScanEvent): string {
  return event.external_id ?? "Event without an id";
}
