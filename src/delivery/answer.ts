import type { WebhookFormat } from "../formats.ts";
import { parseRetryAfter, parseSeconds } from "./retry-after.ts";

/** What a receiver's answer means for the event, for its webhook, and for what comes next (docs/CONTRACT.md, section 4). */
export type Meaning =
  | { kind: "delivered" }
  /** Retried on its own schedule; counts against the webhook. */
  | { kind: "failed" }
  /** A 4xx about the event: retried like any failure, but it says nothing against the webhook. */
  | { kind: "refused" }
  /** The service will never take this event: failed at once, not retried. */
  | { kind: "dropped" }
  /** Any 429, and a 503 with a time; null when no time was given. */
  | { kind: "wait"; milliseconds: number | null }
  /** The receiver is no more (410), or its service says that it takes nothing for this URL. */
  | { kind: "disable"; reason: "gone" | "rejected" }
  /** Nothing was sent, and it was nobody's failure. */
  | { kind: "unsent" };

/** What counts of an answer. */
export interface Answer {
  status: number;
  /** `Retry-After` and `X-RateLimit-Reset-After` as they came. */
  retryAfter: string | null;
  resetAfter: string | null;
  /** As much of the body as was read, as text. */
  body: string;
}

export const DELIVERED: Meaning = { kind: "delivered" };
export const FAILED: Meaning = { kind: "failed" };
export const UNSENT: Meaning = { kind: "unsent" };
const REFUSED: Meaning = { kind: "refused" };
const DROPPED: Meaning = { kind: "dropped" };
const GONE: Meaning = { kind: "disable", reason: "gone" };
const REJECTED: Meaning = { kind: "disable", reason: "rejected" };

/** Statuses with which a receiver refuses this request for what is in it (RFC 9110, 15.5; 422 and 424: RFC 4918; 431: RFC 6585). */
const ABOUT_THE_EVENT = new Set([400, 406, 409, 411, 412, 413, 414, 415, 416, 417, 422, 424, 431]);

/** `now` is wall time; nobody waits longer than `maxWaitMs`. */
export function meaningOf(format: WebhookFormat, answer: Answer, now: number, maxWaitMs: number): Meaning {
  const { status } = answer;
  if (status >= 200 && status < 300) return format === "teams" ? ofTeams(answer, now, maxWaitMs) : DELIVERED;
  if (status === 429) return waitOf(format, answer, now, maxWaitMs);
  if (status === 503) {
    const wait = waitOf(format, answer, now, maxWaitMs);
    return wait.milliseconds === null ? FAILED : wait;
  }
  if (status === 410) return GONE;
  return ofService(format, answer) ?? (ABOUT_THE_EVENT.has(status) ? REFUSED : FAILED);
}

/** What a service says in its own way; null when it is what any receiver would mean by it. */
function ofService(format: WebhookFormat, answer: Answer): Meaning | null {
  return SERVICES[format]?.(answer) ?? null;
}

/** Null for who says nothing in a way of its own, but for Teams' 2xx. */
const SERVICES: Record<WebhookFormat, ((answer: Answer) => Meaning | null) | null> = {
  json: null,
  slack: ofSlack,
  teams: null,
  discord: ofDiscord,
  // PagerDuty, "Events API v2: Response Codes & Retry Logic": what is not valid is not to be sent again.
  pagerduty: ({ status }) => (status === 400 ? DROPPED : null),
};

/** Slack, "Handling errors" of incoming webhooks: the reason is a word in the body. */
function ofSlack({ status, body }: Answer): Meaning | null {
  if (status === 404 || body.includes("no_service")) return REJECTED;
  if (status === 403 && /invalid_token|action_prohibited/.test(body)) return REJECTED;
  return status === 413 || (status === 400 && body.includes("invalid_payload")) ? DROPPED : null;
}

/** Discord, "JSON Error Codes": 10015 is an unknown webhook, 50027 a wrong token. */
function ofDiscord(answer: Answer): Meaning | null {
  const { status } = answer;
  if (status === 400) return DROPPED;
  if (status !== 404 && status !== 401) return null;
  return readJson(answer)["code"] === (status === 404 ? 10_015 : 50_027) ? REJECTED : null;
}

const TEAMS_FAILURE = "Webhook message delivery failed";

/** Teams answered 200 and told of its own failure in the body; the 429 is a word there, and part of no id. */
function ofTeams(answer: Answer, now: number, maxWaitMs: number): Meaning {
  if (!answer.body.trimStart().startsWith(TEAMS_FAILURE)) return DELIVERED;
  const asksToWait = /(?<![^\s"'(:])429(?![\w-])/.test(answer.body);
  return asksToWait ? waitOf("teams", answer, now, maxWaitMs) : FAILED;
}

type Wait = Extract<Meaning, { kind: "wait" }>;

/**
 * Discord's own fields go first: on URLs without a version its `Retry-After` is in milliseconds, which the
 * number does not show.
 */
function waitOf(format: WebhookFormat, answer: Answer, now: number, maxWaitMs: number): Wait {
  const own =
    format === "discord"
      ? (parseSeconds(answer.resetAfter?.trim() ?? "", maxWaitMs) ?? retryAfterOfBody(answer, maxWaitMs))
      : null;
  return { kind: "wait", milliseconds: own ?? parseRetryAfter(answer.retryAfter, now, maxWaitMs) };
}

function retryAfterOfBody(answer: Answer, maxWaitMs: number): number | null {
  const seconds = readJson(answer)["retry_after"];
  return typeof seconds === "number" ? parseSeconds(String(seconds), maxWaitMs) : null;
}

function readJson({ body }: Answer): Readonly<Record<string, unknown>> {
  try {
    const value: unknown = JSON.parse(body);
    return typeof value === "object" && value !== null ? (value as Record<string, unknown>) : {};
  } catch {
    // What is no JSON says nothing of what is looked for in it.
    return {};
  }
}

/** What a person should know of an answer whose status does not say it; null when it does. */
export function explain(format: WebhookFormat, status: number, { kind }: Meaning): string | null {
  if (status >= 200 && status < 300 && kind !== "delivered")
    return `Teams answered ${status} and says in the body that its delivery failed`;
  if (kind === "dropped") return `${format} refuses this event for good, so it is not sent again`;
  if (kind === "disable" && status !== 410) return `${format} says that this webhook does not exist any more`;
  return null;
}
