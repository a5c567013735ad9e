import type { ClaimedDelivery } from "../store/delivery-queue.ts";
import type { Choice } from "./choice.ts";
import { MAX_GROUP } from "./formats/render.ts";
import { allowsMore } from "./pace.ts";
import type { WebhookQueue } from "./webhook-queue.ts";

/**
 * Takes what the next request carries off its queue: one delivery, or several of a chat webhook when its pace lets
 * one request go and more are ready (docs/CONTRACT.md, section 4, "Grouping"). At least one is there.
 */
export function takeGroup(queue: WebhookQueue, choice: Choice, monotonic: number): ClaimedDelivery[] {
  const first = takeOne(queue, choice);
  const taken = [first];
  if (!queue.settings?.isGrouped || isAlone(queue, first)) return taken;
  if (allowsMore(queue.pace, monotonic)) return taken;
  takeInto(taken, queue, queue.waiting);
  takeInto(taken, queue, queue.retries);
  return taken.sort((a, b) => a.id - b.id);
}

function takeOne({ waiting, retries }: WebhookQueue, choice: Choice): ClaimedDelivery {
  const taken = choice === "retry" ? retries.shift() : choice === "probe" ? waiting.pop() : waiting.shift();
  if (!taken) throw new Error(`nothing to take for ${String(choice)}`);
  return taken;
}

function takeInto(taken: ClaimedDelivery[], queue: WebhookQueue, from: ClaimedDelivery[]): void {
  let at = 0;
  while (taken.length < MAX_GROUP && at < from.length) {
    const delivery = from[at] as ClaimedDelivery;
    if (isAlone(queue, delivery)) at += 1;
    else taken.push(...from.splice(at, 1));
  }
}

/** A message that held it was refused: it goes alone, so that only what is wrong is refused again. */
function isAlone({ aloneThrough }: WebhookQueue, { id, attemptCount }: ClaimedDelivery): boolean {
  return attemptCount > 0 && id <= aloneThrough;
}
