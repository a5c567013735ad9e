import { useState } from "preact/hooks";
import type { IndigiArmor, Webhook } from "../../client/index.ts";
import { useAction, useLoaded } from "../hooks.ts";
import { usePage } from "../page-context.ts";
import { count } from "../words.ts";
import { Done, Problem } from "./basics.tsx";
import { Field } from "./webhook-form.tsx";

const HOUR_MS = 3_600_000;
const RANGES: readonly { hours: number; label: string }[] = [
  { hours: 1, label: "in the last hour" },
  { hours: 24, label: "in the last day" },
  { hours: 168, label: "in the last 7 days" },
  { hours: 720, label: "in the last 30 days" },
];
const A_DAY = 24;

/** Sends again what never reached a webhook, after saying how much that is. */
export function RecoverWebhook({ webhook }: { webhook: Webhook }) {
  const { client } = usePage();
  const [hours, setHours] = useState(A_DAY);
  const counted = useLoaded(
    () => preview(client, webhook, hours),
    [client, webhook.id, webhook.enabled, hours],
  );
  const recover = useAction(async () => {
    const { recovered } = await client.recoverWebhook(webhook.id, { since: sinceOf(hours) });
    counted.reload();
    return recovered;
  });
  return (
    <section class="card" aria-label="Recovery">
      <h2>What never arrived</h2>
      <Field label="Send again what failed or was missed">
        {(ids) => (
          <select {...ids} value={hours} onChange={(event) => setHours(Number(event.currentTarget.value))}>
            {RANGES.map((range) => (
              <option key={range.hours} value={range.hours}>
                {range.label}
              </option>
            ))}
          </select>
        )}
      </Field>
      <p class="quiet" role="status">
        {counted.value ?? "Counting…"}
      </p>
      {recover.result !== undefined && (
        <Done>
          {recover.result === 0
            ? "Nothing was missing."
            : `${count(recover.result, "delivery", "deliveries")} pending again.`}
        </Done>
      )}
      <Problem error={recover.error ?? counted.error} />
      <button type="button" onClick={() => recover.run()} disabled={recover.isRunning}>
        Recover
      </button>
    </section>
  );
}

function sinceOf(hours: number): Date {
  return new Date(Date.now() - hours * HOUR_MS);
}

/** Pages of a hundred that a preview asks for: a count of more is not worth the requests. */
const MAX_PAGES = 3;

/** How many events of the range never reached it, or so many failed deliveries at least where those are too many. */
async function preview(client: IndigiArmor, webhook: Webhook, hours: number): Promise<string> {
  const since = sinceOf(hours).getTime();
  const [events, deliveries] = await Promise.all([
    collect(async (cursor) => {
      const page = await client.listEvents({ limit: 100, cursor });
      return {
        items: page.events.map((event) => ({ at: event.received_at, ...event })),
        next: page.next_cursor,
      };
    }, since),
    collect(async (cursor) => {
      const page = await client.listDeliveries(webhook.id, { limit: 100, cursor });
      return {
        items: page.deliveries.map((one) => ({ at: one.created_at, ...one })),
        next: page.next_cursor,
      };
    }, since),
  ]);
  if (!events.isWhole || !deliveries.isWhole) {
    const failed = deliveries.items.filter(({ status }) => status === "failed").length;
    return `At least ${count(failed, "failed delivery", "failed deliveries")}, and what came while it was off.`;
  }
  const reached = new Set(
    deliveries.items.filter(({ status }) => status !== "failed").map((one) => one.event_id),
  );
  const missing = events.items.filter(({ id, event }) => webhook.events.includes(event) && !reached.has(id));
  if (missing.length === 0) return "Nothing is missing.";
  const most = webhook.filter === undefined ? "" : "Up to ";
  return `${most}${count(missing.length, "event")} never reached it.`;
}

/** What is newer than a time, newest first, page by page; not whole when there is more than is asked for. */
async function collect<T extends { at: string }>(
  load: (cursor: string | null) => Promise<{ items: T[]; next: string | null }>,
  since: number,
): Promise<{ items: T[]; isWhole: boolean }> {
  const items: T[] = [];
  let cursor: string | null = null;
  for (let page = 0; page < MAX_PAGES; page++) {
    const loaded = await load(cursor);
    const inRange = loaded.items.filter(({ at }) => Date.parse(at) >= since);
    items.push(...inRange);
    cursor = inRange.length < loaded.items.length ? null : loaded.next;
    if (cursor === null) return { items, isWhole: true };
  }
  return { items, isWhole: false };
}
