import type { DeliveryStore, DueDelivery } from "../store/sqlite/deliveries.ts";
import type { Job, Lane } from "./lane.ts";

/** The deliveries that wait in memory, of all webhooks; whatever does not fit waits in the table. */
export interface Backlog {
  /** Puts a delivery at the end of its webhook's line. */
  add(lane: Lane, due: DueDelivery): void;
  /** Takes the first of a webhook's line, which is not empty. */
  takeFirst(lane: Lane): Job;
  /** Empties a webhook's line, but for those whose latest result is not written yet. */
  clear(lane: Lane): void;
  /** Whether a webhook's next delivery should wait in the table. */
  isFull(lane: Lane): boolean;
  /** Fetches due deliveries that are not in memory and notes whether the table has more of them. */
  refill(lane: Lane, now: number): void;
}

/** Deliveries of one webhook, and of all, and the bytes of their bodies. */
const MAX_PER_WEBHOOK = 256;
const MAX_IN_ALL = 8_000;
const MAX_BYTES = 32 * 1024 * 1024;
/** Fetched at once for a webhook that can take hardly any. */
const MIN_REFILL = 8;

export function createBacklog(store: Pick<DeliveryStore, "dueAgain" | "fresh">): Backlog {
  let count = 0;
  let bytes = 0;

  const add = (lane: Lane, due: DueDelivery): void => {
    const job = createJob(lane, due);
    lane.held.set(job.id, job);
    lane.queue.push(job);
    count += 1;
    bytes += job.body.length;
  };

  /** One that waits for a further turn was counted off with its first. */
  const countOff = (job: Job): void => {
    if (job.takeTurn) return;
    count -= 1;
    bytes -= job.body.length;
  };

  return {
    add,
    takeFirst(lane) {
      const job = lane.queue.shift() as Job;
      countOff(job);
      return job;
    },
    clear(lane) {
      for (const job of lane.queue) if (!job.attempting) countOff(job);
      lane.queue = lane.queue.filter((job) => job.attempting);
    },
    isFull: (lane) => lane.queue.length >= MAX_PER_WEBHOOK || count >= MAX_IN_ALL || bytes >= MAX_BYTES,
    refill(lane, now) {
      // A struggling webhook gets few, as it will try few.
      const isShort = count >= MAX_IN_ALL || bytes >= MAX_BYTES;
      const limit = isShort ? MIN_REFILL : Math.min(MAX_PER_WEBHOOK, Math.max(MIN_REFILL, lane.window * 4));
      const limitAgain = limit + lane.held.size;
      const again = store.dueAgain(lane.webhookId, now, limitAgain);
      const fresh = store.fresh(lane.webhookId, lane.freshThrough, limit);
      for (const due of again.concat(fresh)) {
        if (!lane.held.has(due.id)) add(lane, due);
      }
      lane.freshThrough = fresh.at(-1)?.id ?? lane.freshThrough;
      lane.spilled = again.length === limitAgain || fresh.length === limit;
    },
  };
}

function createJob({ trust }: Lane, due: DueDelivery): Job {
  return {
    id: due.id,
    eventId: due.eventId,
    body: due.body,
    attemptCount: due.attemptCount,
    budgetFrom: due.budgetFrom,
    controller: null,
    target: null,
    granted: false,
    takeTurn: null,
    attempting: false,
    renewed: false,
    asleep: false,
    trust,
    epoch: 0,
  };
}
