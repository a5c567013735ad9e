import type { Clock } from "../../clock.ts";
import type { DeliveryQueue } from "../delivery-queue.ts";
import type { Announcer } from "./announcements.ts";
import { createClaimReader } from "./claim-reader.ts";
import type { Claims } from "./claims.ts";
import type { PostgresDatabase } from "./database.ts";
import type { DueWebhooks } from "./due-webhooks.ts";
import { createEndings } from "./endings.ts";
import { type Partitions, partitionIn } from "./partitions.ts";
import { createRedelivery } from "./redelivery.ts";
import { createResultWriter } from "./results.ts";
import type { PostgresStatistics } from "./statistics.ts";
import type { Watchers } from "./watchers.ts";

export interface DeliveryQueueParts {
  claims: Claims;
  partitions: Partitions;
  announcer: Announcer;
  watchers: Watchers;
  due: DueWebhooks;
  clock: Clock;
  nextId: () => number;
  /** No id of what is pending now is above. */
  ceiling: () => number;
  /** Told after a change that others keep in memory. */
  changed: () => Promise<void>;
  statistics: Pick<PostgresStatistics, "count" | "countEnded">;
  /** The engine is there: from now on this daemon takes its share. */
  onWatched: () => void;
  makeDays: (ids: readonly number[]) => Promise<void>;
}

export function createDeliveryQueue(database: PostgresDatabase, parts: DeliveryQueueParts): DeliveryQueue {
  const { main, worker } = database;
  const { claims, partitions, announcer, clock, ceiling } = parts;
  const results = createResultWriter(worker, { claims, clock, ceiling });
  const endings = createEndings(database, parts);

  const tellEverybody = (webhookId: number): void => {
    parts.due.tell([webhookId]);
    announcer.tell({ due: [webhookId] });
  };

  return {
    claim: createClaimReader(database, parts),
    ...createRedelivery(database, {
      clock,
      nextId: parts.nextId,
      makeDays: parts.makeDays,
      tell: tellEverybody,
    }),
    endPending: endings.endPending,
    ending: endings.ending,
    mayBegin: (webhookId) => partitions.epochFor(webhookId) !== null,
    async record(attempts, deltas) {
      const written = await database.writing(() => results.write(attempts, deltas));
      const { endings, renewed, due } = written;
      for (const { webhookId, deliveryId, keepsClaim } of attempts) {
        if (!keepsClaim || renewed.has(deliveryId)) claims.free(webhookId, deliveryId);
      }
      parts.statistics.count(attempts);
      // It is written, whatever comes now: the next look around finds what has changed.
      if (endings.length > 0) await parts.changed().catch(database.failed);
      if (due.size > 0) parts.due.tell([...due]);
      return { endings, renewed };
    },
    release(released) {
      for (const { webhookId, id } of released) claims.free(webhookId, id);
    },
    async unfinished(found) {
      const held = partitions.ids();
      if (held.length === 0) return;
      const pending = await main.query<{ id: number }>(
        `SELECT w.id FROM webhooks w WHERE w.enabled AND ${partitionIn("w.id")} = ANY($1::int[])
         AND EXISTS (SELECT 1 FROM queue q WHERE q.webhook_id = w.id) ORDER BY w.id`,
        [held],
      );
      found({ pending: pending.map(({ id }) => id), ending: await endings.within(held) });
    },
    watch(changes) {
      parts.watchers.add(changes);
      parts.onWatched();
    },
  };
}
