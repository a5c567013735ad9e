import type { Clock } from "../../clock.ts";
import { spared } from "../../spared.ts";
import { STATUS } from "../common/delivery-row.ts";
import type { AttemptRecord, Recorded, WebhookDelta } from "../delivery-queue.ts";
import type { Claims } from "./claims.ts";
import { raiseVersion } from "./directory.ts";
import type { Pool, Query } from "./pool.ts";
import { DISABLE, STILL_THERE, WRITE, WRITE_LATE } from "./result-statements.ts";
import { storable } from "./text.ts";

/** What writing a batch of attempts came to. */
export interface Written extends Recorded {
  /**
   * Webhooks with deliveries that are due again: retried by hand meanwhile, or not written as their lease was lost, or
   * not given up with their webhook, as that has another receiver by now.
   */
  due: Set<number>;
}

/** What becomes of the webhooks and deliveries of a batch. */
interface Sorted {
  /** Webhooks that are disabled with it. */
  givenUp: ReadonlySet<number>;
  /** Webhooks of deliveries that were retried by hand meanwhile, and those. */
  asked: Set<number>;
  renewed: Set<number>;
  /** Webhooks of which nothing was written, as another daemon has them. */
  refused: Set<number>;
}

const nothingSorted = (givenUp: ReadonlySet<number>): Sorted => ({
  givenUp,
  asked: new Set(),
  renewed: new Set(),
  refused: new Set(),
});

interface Answer {
  written: number;
  fenced: number;
  asked: string | null;
  fencedWebhooks: string | null;
}

export interface ResultWriter {
  write(attempts: readonly AttemptRecord[], deltas: readonly WebhookDelta[]): Promise<Written>;
}

export function createResultWriter(
  worker: Pool,
  { claims, clock, ceiling }: { claims: Claims; clock: Clock; ceiling: () => number },
): ResultWriter {
  const inputOf = (attempts: readonly AttemptRecord[], givenUp: ReadonlySet<number>): unknown[] => {
    const claimed = attempts.map(({ webhookId, deliveryId }) => claims.get(webhookId, deliveryId));
    return [
      attempts.map((a) => a.webhookId),
      attempts.map((a) => a.deliveryId),
      attempts.map((a) => a.number),
      attempts.map((a) => a.startedAt),
      attempts.map((a) => Math.round(a.durationMs)),
      attempts.map((a) => a.httpStatus),
      attempts.map((a) => a.error),
      attempts.map((a) => storable(a.detail)),
      attempts.map((a) => storable(a.excerpt)),
      attempts.map((a) => STATUS[a.status]),
      attempts.map((a) => a.nextAttemptAt),
      attempts.map((a) => a.finishedAt),
      attempts.map((a) => a.isCharged),
      claimed.map((c) => c?.retries ?? 0),
      claimed.map((c) => c?.epoch ?? -1),
      attempts.map((a) => givenUp.has(a.webhookId)),
    ];
  };

  /** More than one attempt of a delivery cannot be written at once: each is found by the one before. */
  const rounds = (attempts: readonly AttemptRecord[]): AttemptRecord[][] => {
    const split: AttemptRecord[][] = [];
    const seen = new Map<number, number>();
    for (const attempt of attempts) {
      const round = seen.get(attempt.deliveryId) ?? 0;
      seen.set(attempt.deliveryId, round + 1);
      split[round] ??= [];
      split[round].push(attempt);
    }
    return split;
  };

  const writeRound = async (
    query: Query,
    attempts: readonly AttemptRecord[],
    deltas: readonly WebhookDelta[],
    { givenUp, asked, renewed, refused }: Sorted,
  ): Promise<void> => {
    const input = inputOf(attempts, givenUp);
    const [answer] = await query<Answer>(WRITE, [
      ...input,
      clock.schedule(),
      deltas.map((d) => d.webhookId),
      deltas.map((d) => d.succeeded),
      deltas.map((d) => d.failures),
      deltas.map((d) => d.lastTriggeredAt),
      deltas.map((d) => d.lastSuccessAt),
      deltas.map((d) => d.pausedUntil),
      deltas.map((d) => (d.pausedUntil === null ? null : d.url)),
    ]);
    const { written, fenced, asked: askedFor, fencedWebhooks } = answer as Answer;
    for (const [webhookId, deliveryId] of pairs(askedFor)) {
      asked.add(webhookId);
      renewed.add(deliveryId);
    }
    if (fencedWebhooks !== null) {
      const fine = new Set(numbers(fencedWebhooks));
      for (const { webhookId } of attempts) if (!fine.has(webhookId)) refused.add(webhookId);
    }
    if (written < fenced) await query(WRITE_LATE, input);
  };

  /** Those of them that still have the receiver that said so. */
  const stillThere = async (query: Query, deltas: readonly WebhookDelta[]): Promise<Set<number>> => {
    if (deltas.length === 0) return new Set();
    const rows = await query<{ id: number }>(STILL_THERE, [
      deltas.map(({ webhookId }) => webhookId),
      deltas.map(({ url }) => url),
    ]);
    return new Set(rows.map(({ id }) => id));
  };

  /** More than one statement: a delivery was attempted twice, or a webhook is given up. */
  const writeTogether = async (
    query: Query,
    split: readonly AttemptRecord[][],
    deltas: readonly WebhookDelta[],
  ): Promise<Written> => {
    const ending = deltas.filter(({ disabledReason }) => disabledReason !== null);
    const throughId = ceiling();
    const givenUp = await stillThere(query, ending);
    const sorted = nothingSorted(givenUp);
    const now = clock.schedule();
    for (const [i, round] of split.entries()) {
      const attempts = round.map((attempt) =>
        givenUp.has(attempt.webhookId) ? attempt : spared(attempt, now),
      );
      await writeRound(query, attempts, i === 0 ? deltas : [], sorted);
    }
    // Not when the lease was lost: then it is not known that nothing has succeeded since.
    const ended = ending.filter((d) => givenUp.has(d.webhookId) && !sorted.refused.has(d.webhookId));
    const missed = ending.flatMap(({ webhookId }) => (givenUp.has(webhookId) ? [] : [webhookId]));
    if (ended.length > 0) {
      const version = await raiseVersion(query);
      for (const { webhookId, disabledReason } of ended) {
        await query(DISABLE, [webhookId, disabledReason, throughId, version]);
      }
    }
    return {
      endings: ended.map(({ webhookId }) => ({ webhookId, reason: "webhook_disabled", throughId })),
      renewed: sorted.renewed,
      due: new Set([...sorted.asked, ...sorted.refused, ...missed]),
    };
  };

  return {
    async write(attempts, deltas) {
      const split = rounds(attempts);
      const isGivingUp = deltas.some(({ disabledReason }) => disabledReason !== null);
      // Who was to be given up may have another receiver, of which something else was learned since.
      if (split.length > 1 || isGivingUp || attempts.some(({ failsWithWebhook }) => failsWithWebhook)) {
        return worker.transaction((query) => writeTogether(query, split, deltas));
      }
      const sorted = nothingSorted(new Set());
      await writeRound(worker.query, attempts, deltas, sorted);
      return { endings: [], renewed: sorted.renewed, due: new Set([...sorted.asked, ...sorted.refused]) };
    },
  };
}

/** Two numbers each, as SQL writes them one after another. */
function pairs(list: string | null): [number, number][] {
  const all = (list ?? "").split(",").filter((pair) => pair !== "");
  return all.map((pair) => pair.split(" ").map(Number) as [number, number]);
}

function numbers(list: string | null): number[] {
  return list === null || list === "" ? [] : list.split(",").map(Number);
}
