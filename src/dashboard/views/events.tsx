import { useEffect, useState } from "preact/hooks";
import type { ScanEvent } from "../../client/index.ts";
import { paths, useQuery } from "../address.ts";
import { useLoaded } from "../hooks.ts";
import { usePage, useReloadOn } from "../page-context.ts";
import { Clock, Loading, Problem, Tier, View } from "../parts/basics.tsx";
import { Command, SAMPLE_EVENT } from "../parts/first-steps.tsx";
import { Older } from "../parts/older.tsx";
import { Field } from "../parts/webhook-form.tsx";
import { count, TIERS } from "../words.ts";

const PAGE = 50;

/** What scanners sent, newest first; found by the id that the scanner gave. */
export function Events() {
  const { client } = usePage();
  const [tier, setTier] = useQuery("tier");
  const [externalId, setExternalId] = useQuery("id");
  const wanted = TIERS.find((one) => one.tier === tier)?.tier;
  const asked = { tier: wanted, external_id: externalId || undefined, limit: PAGE };
  const page = useLoaded(() => client.listEvents(asked), [client, wanted, externalId]);
  useReloadOn(
    ({ type, data }) => type === "event" && (externalId === "" || data.external_id === externalId),
    page.reload,
  );
  return (
    <View title="Events">
      <h1>Events</h1>
      <search class="bar">
        <IdField value={externalId} onChange={setExternalId} />
        <fieldset class="choice">
          <legend>Tier</legend>
          {[{ tier: "" as const }, ...TIERS].map((one) => (
            <label key={one.tier}>
              <input
                type="radio"
                name="tier"
                checked={(wanted ?? "") === one.tier}
                onChange={() => setTier(one.tier)}
              />
              {one.tier === "" ? "All" : <Tier tier={one.tier} />}
            </label>
          ))}
        </fieldset>
      </search>
      <Problem error={page.error} onRetry={page.reload} />
      {!page.value && page.isLoading && <Loading />}
      {page.value && (
        <>
          {page.value.events.length === 0 && <Nothing externalId={externalId} tier={wanted} />}
          <EventList events={page.value.events} />
          <Older
            key={`${wanted} ${externalId}`}
            first={page.value.events}
            from={page.value.next_cursor}
            load={async (cursor) => {
              const older = await client.listEvents({ ...asked, cursor });
              return { entries: older.events, cursor: older.next_cursor };
            }}
          >
            {(events) => <EventList events={events} />}
          </Older>
        </>
      )}
    </View>
  );
}

const TYPING_MS = 300;

function IdField({ value, onChange }: { value: string; onChange: (value: string) => void }) {
  const [text, setText] = useState(value);
  useEffect(() => setText(value), [value]);
  useEffect(() => {
    const timer = setTimeout(() => {
      if (text.trim() !== value) onChange(text.trim());
    }, TYPING_MS);
    return () => clearTimeout(timer);
  }, [text]);
  return (
    <Field label="Scanner's id">
      {(ids) => (
        <input
          {...ids}
          type="search"
          autocomplete="off"
          spellcheck={false}
          placeholder="such as scan-42"
          value={text}
          onInput={(event) => setText(event.currentTarget.value)}
          onKeyDown={(event) => {
            if (event.key === "Enter") onChange(text.trim());
          }}
        />
      )}
    </Field>
  );
}

function EventList({ events }: { events: readonly ScanEvent[] }) {
  return (
    <ul class="rows events" aria-label="Events">
      {events.map((event) => (
        <li key={event.id}>
          <Tier tier={event.payload.tier} />
          <a class="name" href={paths.event(event.id)}>
            {event.external_id ?? <span class="quiet">without an id</span>}
          </a>
          <span class="outcome">
            {event.payload.action}, {event.payload.risk_score}
          </span>
          <span class="quiet">
            {event.deliveries === 0 ? "nobody subscribed" : count(event.deliveries, "delivery", "deliveries")}
          </span>
          <span class="when quiet">
            <Clock at={event.received_at} />
          </span>
        </li>
      ))}
    </ul>
  );
}

function Nothing({ externalId, tier }: { externalId: string; tier: string | undefined }) {
  if (externalId !== "") {
    return (
      <p class="quiet">
        No event has the id “{externalId}”. It is the whole id that counts, as the scanner sent it; finished
        events are removed after the retention time.
      </p>
    );
  }
  if (tier !== undefined) return <p class="quiet">No event of this tier.</p>;
  return (
    <>
      <p class="quiet">No scanner has sent anything yet. Send one, in the daemon's directory:</p>
      <Command text={SAMPLE_EVENT} />
    </>
  );
}
