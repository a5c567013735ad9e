import type { ClaimedDelivery } from "../store/delivery-queue.ts";
import type { Message } from "./request.ts";
import type { WebhookSettings } from "./settings.ts";
import { type Trust, trustOf, type WebhookQueue } from "./webhook-queue.ts";

/** One request under way, and what was so when it began. */
export interface Attempt {
  queue: WebhookQueue;
  settings: WebhookSettings;
  /** Those that it carries, in order of arrival; at least one. */
  deliveries: readonly ClaimedDelivery[];
  trust: Trust;
  /** Of the circuit breaker. */
  epoch: number;
  /** Of the queue. */
  tenure: number;
  /** Whether its first delivery had never failed. */
  isFirst: boolean;
  /** Whether its first delivery is sent before its own time: to look for a receiver, or as that has asked to come again. */
  isEarly: boolean;
  /** Monotonic. */
  startedAt: number;
}

/** `now` is schedule time. */
export function createAttempt(
  queue: WebhookQueue,
  deliveries: readonly ClaimedDelivery[],
  now: number,
  startedAt: number,
): Attempt {
  const first = deliveries[0] as ClaimedDelivery;
  return {
    queue,
    settings: queue.settings as WebhookSettings,
    deliveries,
    trust: trustOf(queue),
    epoch: queue.breaker.epoch,
    tenure: queue.tenure,
    isFirst: first.attemptCount === first.budgetFrom,
    isEarly: first.dueAt > now,
    startedAt,
  };
}

/** What is sent: the first event, with the others that share its message. */
export function messageOf({ deliveries }: Attempt, formatId: (id: number) => string): Message {
  const [first, ...others] = deliveries as [ClaimedDelivery, ...ClaimedDelivery[]];
  const message: Message = { eventId: formatId(first.eventId), body: first.body };
  if (others.length > 0) {
    message.more = others.map(({ eventId, body }) => ({ eventId: formatId(eventId), body }));
  }
  return message;
}

/** Characters of all bodies that it carries. */
export function lengthOf({ deliveries }: Attempt): number {
  let length = 0;
  for (const { body } of deliveries) length += body.length;
  return length;
}
