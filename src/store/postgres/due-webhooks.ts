import type { Clock } from "../../clock.ts";
import { type Partitions, partitionIn } from "./partitions.ts";
import type { Pool } from "./pool.ts";
import type { Watchers } from "./watchers.ts";

/** Tells the engine of webhooks with something due, where they are this daemon's to send to. */
export interface DueWebhooks {
  tell(webhookIds: readonly number[]): void;
  /** Looks for those that nobody has told of. Rejects with StoreFault. */
  poll(): Promise<void>;
}

export interface DueWebhooksParts {
  worker: Pool;
  partitions: Partitions;
  watchers: Watchers;
  clock: Clock;
}

const HAS_DUE = `EXISTS (SELECT 1 FROM queue q WHERE q.webhook_id = w.id AND NOT q.tried)
  OR EXISTS (SELECT 1 FROM queue q WHERE q.webhook_id = w.id AND q.tried AND q.due_at <= $2::bigint)`;

export function createDueWebhooks({ worker, partitions, watchers, clock }: DueWebhooksParts): DueWebhooks {
  const tell = (webhookIds: readonly number[]): void => {
    for (const id of webhookIds) if (partitions.epochFor(id) !== null) watchers.due(id);
  };
  return {
    tell,
    async poll() {
      const held = partitions.ids();
      if (held.length === 0 || !watchers.areThere()) return;
      const rows = await worker.query<{ id: number }>(
        `SELECT w.id FROM webhooks w WHERE w.enabled AND ${partitionIn("w.id")} = ANY($1::int[]) AND (${HAS_DUE})`,
        [held, clock.schedule()],
      );
      tell(rows.map(({ id }) => id));
    },
  };
}
