import type { Delivery, Webhook } from "../client/index.ts";
import { clockTime, DISABLED_REASONS, outcomeOf } from "./words.ts";

/** How a webhook fares; the gravest first. */
export const STATES = ["disabled", "failing", "waiting", "off", "healthy"] as const;
export type StateName = (typeof STATES)[number];

export interface State {
  name: StateName;
  /** In a word or two, for a badge. */
  label: string;
  /** In a sentence, with what to do. */
  why: string;
}

/** What is known of why a webhook does not get its deliveries. */
export interface Reason {
  latest: Pick<Delivery, "last_status" | "last_error"> | null;
  waitingUntil: number | null;
}

/** When the receiver that answered 429 is asked again; null unless it is being waited for. */
export function waitsUntil(pending: readonly Delivery[], now: number): number | null {
  const times = pending
    .filter(({ status, last_status }) => status === "pending" && last_status === 429)
    .map(({ next_attempt_at }) => Date.parse(next_attempt_at ?? ""))
    .filter((time) => time > now);
  return times.length === 0 ? null : Math.min(...times);
}

export function stateOf(webhook: Webhook, reason: Reason | undefined, now: number): State {
  const { latest = null, waitingUntil = null } = reason ?? {};
  const { enabled, failure_count: failures, disabled_reason: why } = webhook;
  if (!enabled && why !== undefined) {
    return { name: "disabled", label: "Disabled", why: DISABLED_REASONS[why] ?? why };
  }
  if (!enabled) {
    return { name: "off", label: "Turned off", why: "Its owner turned it off. It gets no new deliveries." };
  }
  if (failures > 0) {
    const times = failures === 1 ? "The latest attempt" : `The latest ${failures} attempts in a row`;
    const how = latest === null ? "" : `: ${outcomeOf(latest)}`;
    return {
      name: "failing",
      label: "Failing",
      why: `${times} failed${how}. What failed is tried again by itself.`,
    };
  }
  if (waitingUntil !== null && waitingUntil > now) {
    return {
      name: "waiting",
      label: "Waiting",
      why: `Its receiver answered 429 and asked to wait, until ${clockTime(waitingUntil, now)}. It goes on by itself.`,
    };
  }
  return {
    name: "healthy",
    label: "Healthy",
    why:
      webhook.last_triggered_at === null ? "Nothing has been sent to it yet." : "What is sent to it arrives.",
  };
}

/** The gravest first, then as they came: the newest first. */
export function byGravity(states: ReadonlyMap<string, State>) {
  const rank = ({ id }: Webhook): number => STATES.indexOf(states.get(id)?.name ?? "healthy");
  return (one: Webhook, other: Webhook): number => rank(one) - rank(other);
}
