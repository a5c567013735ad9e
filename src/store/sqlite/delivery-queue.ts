import type { Clock } from "../../clock.ts";
import { spared } from "../../spared.ts";
import type {
  AttemptRecord,
  Claim,
  ClaimedDelivery,
  ClaimRequest,
  DeliveryQueue,
  Ending,
  QueueChanges,
  Recorded,
  WebhookDelta,
} from "../delivery-queue.ts";
import type { WebhookLabel } from "../webhooks.ts";
import type { Claims } from "./claims.ts";
import type { StoreDatabase } from "./database.ts";
import type { DeliveryStore, DueDelivery, WebhookOutcome } from "./deliveries.ts";
import { promised } from "./faults.ts";
import type { Redelivery } from "./redelivery.ts";

export interface DeliveryQueueParts {
  deliveries: DeliveryStore;
  redelivery: Pick<Redelivery, "retry" | "recoverStep">;
  claims: Claims;
  /** Schedule time and wall time. */
  clock: Clock;
  /** The latest id that was given. */
  lastId: () => number;
  /** A webhook was disabled with an attempt. */
  onDisabled: () => void;
}

/** A long backlog is ended in steps, so that nobody else waits for it. */
const END_STEP = 1_000;

/** A start looks at so many webhooks in a turn, which takes some milliseconds. */
const LOOK_STEP = 1_000;

/** The delivery queue over SQLite's tables. What one call says must happen together is one transaction. */
export function createDeliveryQueue({ sqlite }: StoreDatabase, parts: DeliveryQueueParts): DeliveryQueue {
  const { deliveries, redelivery, claims, clock, lastId } = parts;
  const ending = (condition: string) =>
    sqlite.prepare<EndingRow, number[]>(
      `SELECT id, deleted_at AS deletedAt, end_through AS throughId FROM webhooks
       WHERE end_through IS NOT NULL AND ${condition}`,
    );
  const endingsAmong = ending("id > ? AND id <= ?");
  const endingOf = ending("id = ?");
  const withUrl = sqlite.prepare<unknown, [number, string]>(
    "SELECT 1 FROM webhooks WHERE id = ? AND url = ?",
  );
  const label = sqlite.prepare<WebhookLabel, [number]>("SELECT uuid, name FROM webhooks WHERE id = ?");
  const watchers = new Set<Pick<QueueChanges, "due">>();

  const tell = (webhookId: number): void => {
    for (const { due } of watchers) due(webhookId);
  };

  /** Claims what is not claimed yet. */
  const take = (found: readonly DueDelivery[], into: ClaimedDelivery[]): void => {
    for (const due of found) {
      if (claims.has(due.webhookId, due.id)) continue;
      claims.add(due.webhookId, due.id);
      into.push(due);
    }
  };

  /** Answers whether there may be more. */
  const takeFresh = ({ webhookId, fresh: wanted }: ClaimRequest, fresh: ClaimedDelivery[]): boolean => {
    while (fresh.length < wanted) {
      const found = deliveries.fresh(webhookId, claims.freshThrough(webhookId), wanted);
      take(found, fresh);
      const last = found.at(-1);
      if (last) claims.noteFresh(webhookId, last.id);
      if (found.length < wanted) return false;
    }
    return true;
  };

  /** Answers whether there may be more. */
  const takeAgain = (
    { webhookId, again: wanted, dueBy, triedBefore }: ClaimRequest,
    again: ClaimedDelivery[],
  ): boolean => {
    // Those that are claimed already may be among those found.
    const limit = wanted + claims.count(webhookId);
    const until = Math.min(dueBy, Number.MAX_SAFE_INTEGER);
    const before = Math.min(triedBefore, Number.MAX_SAFE_INTEGER);
    const found = deliveries.dueAgain(webhookId, until, limit, before);
    const free = found.filter(({ id }) => !claims.has(webhookId, id));
    take(free.slice(0, wanted), again);
    return free.length > wanted || found.length === limit;
  };

  const release = (released: readonly ClaimedDelivery[]): void => {
    for (const { webhookId, id, dueAt } of released) {
      if (dueAt === 0) claims.giveBack(webhookId, id);
      else claims.free(webhookId, id);
    }
  };

  const nextDueAfter = (webhookId: number, at: number): number =>
    deliveries.nextDueAfter(webhookId, at) ?? Number.POSITIVE_INFINITY;

  const claim = (request: ClaimRequest): Claim => {
    const { webhookId, dueBy } = request;
    const fresh: ClaimedDelivery[] = [];
    const again: ClaimedDelivery[] = [];
    try {
      // Most webhooks have none that was tried before, which is found out at less than what reading them takes.
      const firstDueAt = request.again === 0 ? null : nextDueAfter(webhookId, -1);
      const hasDue = firstDueAt !== null && Number.isFinite(firstDueAt) && firstDueAt <= dueBy;
      const moreAgain = hasDue && takeAgain(request, again);
      const moreFresh = takeFresh(request, fresh);
      const nextDueAt = hasDue ? nextDueAfter(webhookId, Math.min(dueBy, clock.schedule())) : firstDueAt;
      return { fresh, again, moreFresh, moreAgain, nextDueAt };
    } catch (error) {
      // Nobody will hear of those that were claimed before the fault, so nobody else would give them back.
      release([...fresh, ...again]);
      throw error;
    }
  };

  /** One that was retried by hand during the attempt is due at once, unless that got through or ended the webhook. */
  const renew = (attempt: AttemptRecord, ended: boolean): AttemptRecord =>
    attempt.status === "delivered" || ended || !claims.isRenewed(attempt.deliveryId)
      ? attempt
      : {
          ...attempt,
          status: "pending",
          nextAttemptAt: clock.schedule(),
          finishedAt: null,
          keepsClaim: false,
          // Its fresh budget begins after this attempt, whatever that came to.
          isCharged: true,
        };

  /** Without what a receiver has said that the webhook no longer has. */
  const ofReceiver = (delta: WebhookDelta): WebhookDelta => {
    const saysNothing = delta.pausedUntil === null && delta.disabledReason === null;
    if (saysNothing || withUrl.get(delta.webhookId, delta.url) !== null) return delta;
    return { ...delta, pausedUntil: null, disabledReason: null };
  };

  const record = (attempts: readonly AttemptRecord[], deltas: readonly WebhookDelta[]): Recorded => {
    const outcomes = new Map<number, WebhookOutcome>();
    const due = new Set<number>();
    const now = clock.schedule();
    for (const delta of deltas) {
      const held = ofReceiver(delta);
      if (held.disabledReason !== delta.disabledReason) due.add(delta.webhookId);
      outcomes.set(delta.webhookId, { ...held, triedThrough: 0, endThrough: lastId() });
    }
    const written = attempts.map((attempt) => {
      const outcome = outcomes.get(attempt.webhookId);
      if (outcome) outcome.triedThrough = Math.max(outcome.triedThrough, attempt.deliveryId);
      const isEnded = outcome?.disabledReason != null;
      return renew(isEnded ? attempt : spared(attempt, now), isEnded);
    });
    deliveries.recordAttempts(written, [...outcomes.values()]);
    if ([...outcomes.values()].some(({ disabledReason }) => disabledReason !== null)) parts.onDisabled();
    const renewed = new Set<number>();
    for (const { webhookId, deliveryId, keepsClaim } of written) {
      const isRenewed = claims.isRenewed(deliveryId);
      if (isRenewed) {
        due.add(webhookId);
        renewed.add(deliveryId);
      }
      if (!keepsClaim || isRenewed) claims.free(webhookId, deliveryId);
    }
    for (const webhookId of due) tell(webhookId);
    const endings = [...outcomes.values()].flatMap(({ webhookId, disabledReason, endThrough }): Ending[] =>
      disabledReason === null ? [] : [{ webhookId, reason: "webhook_disabled", throughId: endThrough }],
    );
    return { endings, renewed };
  };

  return {
    claim: (request) => promised(() => claim(request)),
    record: (attempts, deltas) => promised(() => record(attempts, deltas)),
    release,
    retry: (webhookId, deliveryId) =>
      promised(() => {
        redelivery.retry(deliveryId, clock.schedule(), claims.renew(webhookId, deliveryId));
        tell(webhookId);
      }),
    recover: async ({ webhookId, since, until }) => {
      let recovered = 0;
      for (let fromId: number | null | undefined; fromId !== null; ) {
        const step = await promised(() =>
          redelivery.recoverStep({
            webhookId,
            range: { since, until },
            fromId: fromId ?? null,
            dueAt: clock.schedule(),
            now: clock.wall(),
          }),
        );
        recovered += step.recovered;
        fromId = step.nextFromId;
        if (step.recovered > 0) tell(webhookId);
        await nextTurn();
      }
      return recovered;
    },
    endPending: async ({ webhookId, reason, throughId }, onEnded) => {
      const webhook = label.get(webhookId) ?? { uuid: "", name: null };
      const step = { webhookId, reason, throughId, limit: END_STEP };
      for (let count = END_STEP; count === END_STEP; ) {
        count = await promised(() => deliveries.failPending({ ...step, finishedAt: clock.wall() }));
        if (count > 0) onEnded(webhook, count);
        await nextTurn();
      }
    },
    ending: (webhookId) => promised(() => endingOf.all(webhookId).map(toEnding)[0] ?? null),
    async unfinished(found) {
      for (let through: number | null = 0; through !== null; ) {
        await nextTurn();
        const after: number = through;
        const some = await promised(() => deliveries.pendingAfter(after, LOOK_STEP));
        if (some.through === null) return;
        const last = some.through;
        const ending = await promised(() => endingsAmong.all(after, last).map(toEnding));
        if (some.webhookIds.length + ending.length > 0) found({ pending: some.webhookIds, ending });
        through = some.through;
      }
    },
    // One daemon has the data directory, and with it every webhook.
    mayBegin: () => true,
    watch: (changes) => {
      watchers.add(changes);
    },
  };
}

interface EndingRow {
  id: number;
  deletedAt: number | null;
  throughId: number;
}

function toEnding({ id, deletedAt, throughId }: EndingRow): Ending {
  return { webhookId: id, reason: deletedAt === null ? "webhook_disabled" : "webhook_deleted", throughId };
}

/** One step at a time, so that events and requests get in between. */
function nextTurn(): Promise<void> {
  return new Promise((next) => setImmediate(next));
}
