import {
  addLatency,
  addPacked,
  type LatencyHistogram,
  newHistogram,
  packHistogram,
} from "../../latency-histogram.ts";
import type { AttemptRecord } from "../delivery-queue.ts";
import { isStoreFault } from "../faults.ts";
import type { Statistics, StepRange, WebhookSteps } from "../statistics.ts";
import type { PostgresDatabase } from "./database.ts";

const MINUTE_MS = 60_000;
const LIMIT_MS = 30_000;

export interface PostgresStatistics extends Statistics {
  /** Counts attempts that were written, in the minutes that they ended in. */
  count(attempts: readonly Pick<AttemptRecord, "webhookId" | "startedAt" | "durationMs" | "status">[]): void;
  /** Counts deliveries that ended without an attempt, at a wall time. */
  countEnded(webhookId: number, deliveries: number, at: number): void;
  /** Writes down what was counted: each half second, as a row for each batch would be written over and over. */
  flush(): Promise<void>;
  /** Drops the minutes before a wall time. */
  prune(before: number): Promise<void>;
}

/** What was counted of one webhook and minute since it was written last. */
interface Counts {
  webhookId: number;
  minute: number;
  attempts: number;
  delivered: number;
  failed: number;
  latencies: LatencyHistogram;
}

/** Packed histograms one after the other are their sum, packed. */
const ADD = `INSERT INTO webhook_minutes AS m (webhook_id, minute, attempts, delivered, failed, latencies)
  SELECT webhook_id, minute, attempts, delivered, failed, decode(latencies, 'hex')
  FROM unnest($1::int[], $2::int[], $3::int[], $4::int[], $5::int[], $6::text[])
    AS c(webhook_id, minute, attempts, delivered, failed, latencies)
  ORDER BY webhook_id, minute
  ON CONFLICT (webhook_id, minute) DO UPDATE SET attempts = m.attempts + excluded.attempts,
    delivered = m.delivered + excluded.delivered, failed = m.failed + excluded.failed,
    latencies = m.latencies || excluded.latencies`;

const STEPS = `SELECT w.uuid, m.step, m.attempts, m.delivered, m.failed, m.latencies FROM webhooks w LEFT JOIN LATERAL (
    SELECT minute / $5::int AS step, sum(attempts)::int4 AS attempts, sum(delivered)::int4 AS delivered,
      sum(failed)::int4 AS failed, string_agg(latencies, ''::bytea) AS latencies
    FROM webhook_minutes WHERE webhook_id = w.id AND minute >= $3 AND minute < $4 GROUP BY 1) m ON true
  WHERE w.organization_id = $1 AND w.deleted_at IS NULL AND ($2::text IS NULL OR w.uuid = $2)
  ORDER BY w.id DESC, m.step`;

interface StepRow {
  uuid: string;
  /** Null, like the rest, where nothing happened. */
  step: number | null;
  attempts: number;
  delivered: number;
  failed: number;
  latencies: Buffer;
}

export function createStatistics({ main }: PostgresDatabase): PostgresStatistics {
  let counted = new Map<string, Counts>();
  let writing: Promise<void> = Promise.resolve();

  const countsIn = (webhookId: number, minute: number): Counts => {
    const key = `${webhookId} ${minute}`;
    const known = counted.get(key);
    if (known) return known;
    const counts = { webhookId, minute, attempts: 0, delivered: 0, failed: 0, latencies: newHistogram() };
    counted.set(key, counts);
    return counts;
  };

  const takeBack = (rows: readonly Counts[]): void => {
    for (const row of rows) {
      const into = countsIn(row.webhookId, row.minute);
      into.attempts += row.attempts;
      into.delivered += row.delivered;
      into.failed += row.failed;
      addPacked(into.latencies, packHistogram(row.latencies));
    }
  };

  const write = async (): Promise<void> => {
    const rows = [...counted.values()];
    counted = new Map();
    try {
      await main.query(ADD, [
        rows.map((row) => row.webhookId),
        rows.map((row) => row.minute),
        rows.map((row) => row.attempts),
        rows.map((row) => row.delivered),
        rows.map((row) => row.failed),
        rows.map((row) => Buffer.from(packHistogram(row.latencies)).toString("hex")),
      ]);
    } catch (error) {
      takeBack(rows);
      throw error;
    }
  };

  /** What another call is writing is waited for: whoever reads next is to find it. */
  const flush = async (): Promise<void> => {
    await writing.catch(() => {});
    if (counted.size > 0) writing = write();
    await writing;
  };

  return {
    count(attempts) {
      for (const { webhookId, startedAt, durationMs, status } of attempts) {
        const counts = countsIn(webhookId, Math.floor((startedAt + durationMs) / MINUTE_MS));
        counts.attempts += 1;
        addLatency(counts.latencies, durationMs);
        if (status !== "pending") counts[status] += 1;
      }
    },
    countEnded(webhookId, deliveries, at) {
      if (deliveries > 0) countsIn(webhookId, Math.floor(at / MINUTE_MS)).failed += deliveries;
    },
    flush,
    async prune(before) {
      await flush();
      await main.slowQuery(LIMIT_MS, "DELETE FROM webhook_minutes WHERE minute < $1", [
        Math.floor(before / MINUTE_MS),
      ]);
    },
    async steps({ organizationId, webhookUuid, from, to, stepMs }: StepRange): Promise<WebhookSteps[]> {
      // What cannot be written now is shown later; all else can be read.
      await flush().catch(ignoreFault);
      const rows = await main.slowQuery<StepRow>(LIMIT_MS, STEPS, [
        organizationId,
        webhookUuid,
        from / MINUTE_MS,
        to / MINUTE_MS,
        stepMs / MINUTE_MS,
      ]);
      const byWebhook = new Map<string, WebhookSteps>();
      for (const { uuid, step, ...counts } of rows) {
        const known = byWebhook.get(uuid) ?? { webhookUuid: uuid, steps: [] };
        byWebhook.set(uuid, known);
        if (step !== null) known.steps.push({ ...counts, at: step * stepMs });
      }
      return [...byWebhook.values()];
    },
  };
}

function ignoreFault(error: unknown): void {
  if (!isStoreFault(error)) throw error;
}
