import { addPacked, appendLatency, newHistogram, packHistogram } from "../../latency-histogram.ts";
import type { AttemptRecord } from "../delivery-queue.ts";
import type { Statistics, StepRange, WebhookSteps } from "../statistics.ts";
import type { StoreDatabase } from "./database.ts";
import { promised } from "./faults.ts";

const MINUTE_MS = 60_000;

/** An attempt that was made, as far as it is counted. */
export type CountedAttempt = Pick<AttemptRecord, "webhookId" | "startedAt" | "durationMs" | "status">;

export interface SqliteStatistics extends Statistics {
  /** Counts attempts and what they ended, in the minutes that they ended in; a part of the transaction that writes them. */
  count(attempts: readonly CountedAttempt[]): void;
  /** Counts deliveries that ended without an attempt, at a wall time; a part of a transaction. */
  countEnded(webhookId: number, deliveries: number, at: number): void;
  /** Drops up to `limit` rows of minutes before a wall time; answers how many. */
  prune(before: number, limit: number): number;
}

interface Step {
  step: number;
  attempts: number;
  delivered: number;
  failed: number;
  latencies: string;
}

/** The counts of one webhook and minute before they are written. */
interface Counts {
  webhookId: number;
  minute: number;
  attempts: number;
  delivered: number;
  failed: number;
  /** Packed (latency-histogram.ts). */
  latencies: number[];
}

/** Most rows stay shorter than this, and are written without being unpacked. */
const LONG_BYTES = 64;

/**
 * One row for each webhook and minute, in the table `webhook_minutes`. A batch of results is counted in memory
 * first: of one webhook, hundreds of them are one row to write.
 */
export function createStatistics({ sqlite }: StoreDatabase): SqliteStatistics {
  const present = sqlite.prepare<{ latencies: Uint8Array }, [number, number]>(
    "SELECT latencies FROM webhook_minutes WHERE webhook_id = ? AND minute = ?",
  );
  const add = sqlite.prepare<void, [number, number, number, number, number, Uint8Array]>(
    `INSERT INTO webhook_minutes (webhook_id, minute, attempts, delivered, failed, latencies)
     VALUES (?1, ?2, ?3, ?4, ?5, ?6) ON CONFLICT DO UPDATE SET attempts = attempts + excluded.attempts,
     delivered = delivered + excluded.delivered, failed = failed + excluded.failed, latencies = excluded.latencies`,
  );
  const webhookIds = sqlite.prepare<{ id: number; uuid: string }, [number, string | null]>(
    `SELECT id, uuid FROM webhooks WHERE organization_id = ?1 AND deleted_at IS NULL
     AND (?2 IS NULL OR uuid = ?2) ORDER BY id DESC`,
  );
  // Packed histograms one after the other are their sum, packed; SQLite joins text only.
  const stepsOf = sqlite.prepare<Step, [number, number, number, number]>(
    `SELECT minute / ?4 AS step, sum(attempts) AS attempts, sum(delivered) AS delivered, sum(failed) AS failed,
     group_concat(hex(latencies), '') AS latencies FROM webhook_minutes
     WHERE webhook_id = ?1 AND minute >= ?2 AND minute < ?3 GROUP BY step ORDER BY step`,
  );
  const counted = sqlite.prepare<{ id: number }, [number]>(
    `WITH RECURSIVE counted (id) AS (SELECT min(webhook_id) FROM webhook_minutes
     UNION ALL SELECT (SELECT min(webhook_id) FROM webhook_minutes WHERE webhook_id > id) FROM counted WHERE id IS NOT NULL)
     SELECT id FROM counted WHERE id IS NOT NULL
     AND EXISTS (SELECT 1 FROM webhook_minutes WHERE webhook_id = id AND minute < ?)`,
  );
  const drop = sqlite.prepare<void, [number, number, number]>(
    `DELETE FROM webhook_minutes WHERE webhook_id = ?1 AND minute IN
     (SELECT minute FROM webhook_minutes WHERE webhook_id = ?1 AND minute < ?2 ORDER BY minute LIMIT ?3)`,
  );

  const write = ({ webhookId, minute, attempts, delivered, failed, latencies }: Counts): void => {
    const known = present.get(webhookId, minute)?.latencies;
    add.run(webhookId, minute, attempts, delivered, failed, joined(known, latencies));
  };

  return {
    steps: ({ organizationId, webhookUuid, from, to, stepMs }: StepRange) =>
      promised(() =>
        webhookIds.all(organizationId, webhookUuid).map(({ id, uuid }): WebhookSteps => {
          const rows = stepsOf.all(id, from / MINUTE_MS, to / MINUTE_MS, stepMs / MINUTE_MS);
          const steps = rows.map(({ step, latencies, ...counts }) => ({
            ...counts,
            at: step * stepMs,
            latencies: Buffer.from(latencies, "hex"),
          }));
          return { webhookUuid: uuid, steps };
        }),
      ),
    count(attempts) {
      const batch = new Map<number, Map<number, Counts>>();
      let latest: Counts | null = null;
      for (const { webhookId, startedAt, durationMs, status } of attempts) {
        const minute = Math.floor((startedAt + durationMs) / MINUTE_MS);
        // Most follow one of the same webhook.
        if (latest?.webhookId !== webhookId || latest.minute !== minute) {
          latest = countsIn(batch, webhookId, minute);
        }
        latest.attempts += 1;
        appendLatency(latest.latencies, durationMs);
        if (status !== "pending") latest[status] += 1;
      }
      for (const ofMinute of batch.values()) ofMinute.forEach(write);
    },
    countEnded(webhookId, deliveries, at) {
      if (deliveries === 0) return;
      const minute = Math.floor(at / MINUTE_MS);
      write({ webhookId, minute, attempts: 0, delivered: 0, failed: deliveries, latencies: [] });
    },
    prune(before, limit) {
      const minute = Math.floor(before / MINUTE_MS);
      let left = limit;
      for (const { id } of counted.all(minute)) {
        if (left > 0) left -= drop.run(id, minute, left).changes;
      }
      return limit - left;
    },
  };
}

function countsIn(batch: Map<number, Map<number, Counts>>, webhookId: number, minute: number): Counts {
  const ofMinute = batch.get(minute) ?? new Map<number, Counts>();
  batch.set(minute, ofMinute);
  const known = ofMinute.get(webhookId);
  if (known) return known;
  const counts = { webhookId, minute, attempts: 0, delivered: 0, failed: 0, latencies: [] };
  ofMinute.set(webhookId, counts);
  return counts;
}

/** One packed histogram after the other is their sum; counts of the same bucket are joined once that is long. */
function joined(known: Uint8Array | undefined, added: readonly number[]): Uint8Array {
  const before = known?.length ?? 0;
  const bytes = new Uint8Array(before + added.length);
  if (known) bytes.set(known);
  bytes.set(added, before);
  if (bytes.length <= LONG_BYTES) return bytes;
  const histogram = newHistogram();
  addPacked(histogram, bytes);
  return packHistogram(histogram);
}
