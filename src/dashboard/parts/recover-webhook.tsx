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
  const preview = useLoaded(() => countFailed(client, webhook, hours), [client, webhook.id, hours]);
  const recover = useAction(async () => {
    const { recovered } = await client.recoverWebhook(webhook.id, { since: sinceOf(hours) });
    preview.reload();
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
        {preview.value ?? "Counting…"}
      </p>
      {recover.result !== undefined && (
        <Done>
          {recover.result === 0
            ? "Nothing was missing."
            : `${count(recover.result, "delivery", "deliveries")} pending again.`}
        </Done>
      )}
      <Problem error={recover.error ?? preview.error} />
      <button type="button" onClick={() => recover.run()} disabled={recover.isRunning}>
        Recover
      </button>
    </section>
  );
}

function sinceOf(hours: number): Date {
  return new Date(Date.now() - hours * HOUR_MS);
}

/** Pages that a preview asks for: a count of more is not worth the requests. */
const MAX_PAGES = 3;

async function countFailed(client: IndigiArmor, webhook: Webhook, hours: number): Promise<string> {
  const since = sinceOf(hours).getTime();
  let failed = 0;
  let cursor: string | null = null;
  for (let page = 0; page < MAX_PAGES; page++) {
    const answer = await client.listDeliveries(webhook.id, { status: "failed", limit: 100, cursor });
    const inRange = answer.deliveries.filter(({ created_at }) => Date.parse(created_at) >= since);
    failed += inRange.length;
    cursor = inRange.length < answer.deliveries.length ? null : answer.next_cursor;
    if (cursor === null) break;
  }
  const many = `${cursor === null ? "" : "More than "}${count(failed, "failed delivery", "failed deliveries")}`;
  return `${many}, and what came while it was off.`;
}
