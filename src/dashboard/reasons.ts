import { useEffect, useRef, useState } from "preact/hooks";
import type { IndigiArmor, Statistics, Webhook } from "../client/index.ts";
import { useThrottled } from "./hooks.ts";
import { dataOf } from "./outcomes.ts";
import { useOutcomes, usePage } from "./page-context.ts";
import { type Reason, waitsUntil } from "./state.ts";

/** Webhooks that are looked up at once: each costs a request of the key's. */
const MAX_LOOKUPS = 6;
const LOOKUP_EVERY_MS = 10_000;
/** The latest steps of a chart in which a receiver that is waited for must have been asked. */
const RECENT_STEPS = 10;

/** The reasons of those webhooks that seem to need one, by id; kept up by what the stream tells. */
export function useReasons(webhooks: readonly Webhook[], stats?: Statistics): ReadonlyMap<string, Reason> {
  const { client } = usePage();
  const [reasons, setReasons] = useState<ReadonlyMap<string, Reason>>(new Map());
  const wanted = useRef(new Set<string>());

  const lookUp = useThrottled(async () => {
    const ids = [...wanted.current].slice(0, MAX_LOOKUPS);
    for (const id of ids) wanted.current.delete(id);
    try {
      const found = await Promise.all(ids.map(async (id) => [id, await reasonOf(client, id)] as const));
      setReasons((before) => new Map([...before, ...found]));
    } catch {
      // The list then says less of why; what is wrong with the API is said where the list comes from.
    }
  }, LOOKUP_EVERY_MS);

  useEffect(() => {
    const suspects = webhooks.filter(
      (one) => one.enabled && (webhooks.length === 1 || one.failure_count > 0 || mayWait(one, stats)),
    );
    for (const { id } of suspects) if (!reasons.has(id)) wanted.current.add(id);
    if (wanted.current.size > 0) lookUp();
  }, [stats]);

  useOutcomes((outcomes) => {
    const attempts = dataOf(outcomes, "attempt");
    if (attempts.length === 0) return;
    for (const { webhook_id, status } of attempts) if (status === 429) wanted.current.add(webhook_id);
    if (wanted.current.size > 0) lookUp();
    setReasons((before) => {
      const after = new Map(before);
      for (const { webhook_id, status, error } of attempts) {
        if (error === null) after.delete(webhook_id);
        else {
          const waitingUntil = after.get(webhook_id)?.waitingUntil ?? null;
          after.set(webhook_id, { latest: { last_status: status, last_error: error }, waitingUntil });
        }
      }
      return after;
    });
  });
  return reasons;
}

/** Whether something was sent of late that neither arrived nor failed. */
function mayWait({ id }: Webhook, stats: Statistics | undefined): boolean {
  const points = stats?.webhooks.find(({ webhook_id }) => webhook_id === id)?.points ?? [];
  return points.slice(-RECENT_STEPS).some((point) => point.attempts > point.delivered + point.failed);
}

async function reasonOf(client: IndigiArmor, webhookId: string): Promise<Reason> {
  const { deliveries } = await client.listDeliveries(webhookId, { status: "pending", limit: 100 });
  return {
    latest: deliveries.find(({ last_error }) => last_error !== null) ?? null,
    waitingUntil: waitsUntil(deliveries, Date.now()),
  };
}
