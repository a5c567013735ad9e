import type { Delivery, Webhook, WebhookEvent } from "../client/index.ts";
import type { AttemptError, EndReason } from "../outcomes.ts";
import { TIERS_BY_GRAVITY, type Tier } from "../scan-words.ts";

/** How things are said. What the API says in codes is said here in sentences, with what to do. */

/** What a webhook is called: its name, or its host. */
export function nameOf(webhook: Pick<Webhook, "name" | "url">): string {
  return webhook.name ?? hostOf(webhook.url);
}

export function hostOf(url: string): string {
  return URL.parse(url)?.host ?? url;
}

/** A URL without its scheme, which is https for nearly all. */
export function shortUrl(url: string): string {
  return url.replace(/^https:\/\//, "").replace(/\/$/, "");
}

export const TIERS: readonly { event: WebhookEvent; tier: Tier }[] = TIERS_BY_GRAVITY.map((tier) => ({
  event: `${tier}_tier` as const,
  tier,
}));

export function tierOf(event: WebhookEvent): Tier {
  return TIERS.find((one) => one.event === event)?.tier ?? "green";
}

export function count(number: number, one: string, many = `${one}s`): string {
  return `${number.toLocaleString("en")} ${number === 1 ? one : many}`;
}

const UNITS: readonly [seconds: number, name: string][] = [
  [86_400, "d"],
  [3_600, "h"],
  [60, "min"],
  [1, "s"],
];

/** A span of time in its largest unit, rounded down. */
export function span(milliseconds: number): string {
  const seconds = Math.max(0, Math.floor(milliseconds / 1000));
  const [size, name] = UNITS.find(([unit]) => seconds >= unit) ?? [1, "s"];
  return `${Math.floor(seconds / size)} ${name}`;
}

/** A time as seen from now: "12 s ago", "in 3 min". */
export function fromNow(time: number, now: number): string {
  if (Math.abs(time - now) < 1_000) return "now";
  return time <= now ? `${span(now - time)} ago` : `in ${span(time - now)}`;
}

const CLOCK = new Intl.DateTimeFormat("en-GB", { hour: "2-digit", minute: "2-digit", second: "2-digit" });
const DAY = new Intl.DateTimeFormat("en-GB", { day: "numeric", month: "short" });

/** A time of day of the reader's, with the date unless it is today's. */
export function clockTime(time: number, now: number): string {
  const isToday = new Date(time).toDateString() === new Date(now).toDateString();
  return isToday ? CLOCK.format(time) : `${DAY.format(time)}, ${CLOCK.format(time)}`;
}

/** Why an attempt failed, and what to look at. */
const ERRORS: Readonly<Record<AttemptError | EndReason, string>> = {
  connection_failed:
    "The connection failed. Check that the receiver is running and can be reached from here.",
  dns_failed: "The name has no address. Check the host of the URL, and this machine's name server.",
  tls_failed: "The TLS handshake failed. Check the receiver's certificate.",
  timeout: "No answer in time. Check that the receiver answers before it works.",
  blocked_address:
    "The address is one that is refused. Use a public address, or have the operator open its network (--allow-networks).",
  invalid_response: "The answer was not HTTP. Check that the URL leads to an HTTP server.",
  http_status: "The receiver answered, but not with 2xx. Its own log says why.",
  proxy_failed: "The proxy refused or could not be reached. Ask the operator to check --proxy.",
  out_of_resources:
    "This machine has no file descriptors left. Ask the operator to raise the limit; it goes on by itself.",
  webhook_disabled: "It was ended because the webhook was disabled. Enable the webhook, then send it again.",
  webhook_deleted: "It was ended because the webhook was deleted.",
};

export function explain(error: string): string {
  return ERRORS[error as AttemptError | EndReason] ?? error.replaceAll("_", " ");
}

/** The outcome of a delivery's latest attempt in a few words. */
export function outcomeOf({ last_status, last_error }: Pick<Delivery, "last_status" | "last_error">): string {
  if (last_error === "http_status" || (last_error === null && last_status !== null)) {
    return `HTTP ${last_status}`;
  }
  return last_error === null ? "not tried yet" : last_error.replaceAll("_", " ");
}

export const DISABLED_REASONS: Readonly<Record<NonNullable<Webhook["disabled_reason"]>, string>> = {
  attempts_exhausted:
    "A delivery ran out of attempts and nothing got through since it was made. Mend the receiver, press Test, then enable and recover what was missed.",
  gone: "The receiver answered 410: it says that this address is gone for good. Change the URL, then enable.",
  rejected:
    "The service says that this URL does not exist any more or was revoked. Make a new one there, change the URL, then enable.",
};
