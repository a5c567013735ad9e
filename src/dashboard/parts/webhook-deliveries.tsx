import type { DeliveryStatus, Webhook } from "../../client/index.ts";
import { useQuery } from "../address.ts";
import { useLoaded, useThrottled } from "../hooks.ts";
import { afterDeliveries, type DeliveryRow } from "../outcomes.ts";
import { useOutcomes, usePage } from "../page-context.ts";
import { Loading, Problem } from "./basics.tsx";
import { DeliveryList } from "./delivery-list.tsx";
import { Command, SAMPLE_EVENT } from "./first-steps.tsx";
import { Older } from "./older.tsx";

const FILTERS: readonly { status: DeliveryStatus | ""; label: string }[] = [
  { status: "", label: "All" },
  { status: "pending", label: "Pending" },
  { status: "delivered", label: "Delivered" },
  { status: "failed", label: "Failed" },
];
const PAGE = 25;
/** What the stream does not tell, such as when the next attempt is due, is asked for no more often than this. */
const REFRESH_MS = 4_000;

/** What was sent to a webhook, newest first, and by status; the status is in the address. */
export function WebhookDeliveries({ webhook }: { webhook: Webhook }) {
  const { client } = usePage();
  const [query, setQuery] = useQuery("status");
  const status = FILTERS.find((one) => one.status === query)?.status || undefined;
  const first = useLoaded<{ deliveries: DeliveryRow[]; next_cursor: string | null }>(
    () => client.listDeliveries(webhook.id, { status, limit: PAGE }),
    [client, webhook.id, status],
  );
  const refresh = useThrottled(first.reload, REFRESH_MS);
  useOutcomes((outcomes, missed) => {
    const isMine = outcomes.some(({ data }) => "webhook_id" in data && data.webhook_id === webhook.id);
    if (missed || isMine) refresh();
    if (!isMine) return;
    const about = { webhookId: webhook.id, status, limit: PAGE, now: Date.now() };
    first.change((page) => ({ ...page, deliveries: afterDeliveries(page.deliveries, outcomes, about) }));
  });
  return (
    <section aria-labelledby="deliveries-title">
      <div class="bar">
        <h2 id="deliveries-title">Deliveries</h2>
        <fieldset class="choice">
          <legend class="hidden">Show</legend>
          {FILTERS.map((one) => (
            <label key={one.label}>
              <input
                type="radio"
                name="status"
                checked={(status ?? "") === one.status}
                onChange={() => setQuery(one.status)}
              />
              {one.label}
            </label>
          ))}
        </fieldset>
      </div>
      <Problem error={first.error} onRetry={first.reload} />
      {!first.value && first.isLoading && <Loading />}
      {first.value && (
        <>
          {first.value.deliveries.length === 0 && <Nothing status={status} />}
          <DeliveryList deliveries={first.value.deliveries} />
          <Older
            key={`${webhook.id} ${status}`}
            first={first.value.deliveries}
            from={first.value.next_cursor}
            load={async (cursor) => {
              const page = await client.listDeliveries(webhook.id, { status, limit: PAGE, cursor });
              return { entries: page.deliveries, cursor: page.next_cursor };
            }}
          >
            {(deliveries) => <DeliveryList deliveries={deliveries} />}
          </Older>
        </>
      )}
    </section>
  );
}

function Nothing({ status }: { status: DeliveryStatus | undefined }) {
  if (status !== undefined) return <p class="quiet">None is {status}.</p>;
  return (
    <>
      <p class="quiet">Nothing has been sent to it yet. Send a scan event, in the daemon's directory:</p>
      <Command text={SAMPLE_EVENT} />
    </>
  );
}
