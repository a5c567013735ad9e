import type { Clock } from "../clock.ts";
import type { WebhookFormat } from "../formats.ts";
import type { AttemptError } from "../store/deliveries.ts";
import { splitRoutingKey } from "./formats/pagerduty.ts";
import { renderRequest } from "./formats/render.ts";
import type { Transport, TransportOutcome } from "./http/transport.ts";
import type { Resolve } from "./resolver.ts";
import { parseRetryAfter } from "./retry-policy.ts";
import { createSigner, type Signer } from "./signature.ts";
import type { TargetGuard } from "./target-guard.ts";

/** Where a webhook's requests go and how they are signed: worked out once, used for every attempt. */
export interface Target {
  url: string;
  format: WebhookFormat;
  secure: boolean;
  /** Host name or literal address as the URL has it, an IPv6 address in brackets. */
  hostname: string;
  /** The same without brackets. */
  host: string;
  port: number;
  /** Request line and the header fields that never change. */
  head: string;
  sign: Signer;
  /** Until when (monotonic clock) a literal address that was allowed need not be judged again. */
  allowedUntil: number;
}

export interface TargetInput {
  url: string;
  format: WebhookFormat;
  /** The present secret, then the rotated one while it is still valid. */
  secrets: readonly string[];
}

/** What one attempt came to; `error` is null exactly when the receiver answered 2xx. */
export interface AttemptResult {
  /** Wall time, milliseconds. */
  startedAt: number;
  durationMs: number;
  status: number | null;
  error: AttemptError | null;
  /** The first 1 KiB of the response body. */
  excerpt: string | null;
  /** Milliseconds that the receiver asked us to wait (429 and 503 only). */
  retryAfterMs: number | null;
}

export interface Message {
  /** As the outside sees it. */
  eventId: string;
  body: string;
}

export interface Sender {
  createTarget(input: TargetInput): Target;
  /** Makes one attempt: guard, sign, POST. Never throws for what a receiver or a name server does. */
  send(target: Target, message: Message): Promise<AttemptResult>;
}

export interface SenderOptions {
  guard: TargetGuard;
  resolve: Resolve;
  transport: Transport;
  clock: Clock;
  version: string;
  timeoutMs: number;
  /** Longest pause that a `Retry-After` can ask for, milliseconds. */
  maxRetryAfterMs: number;
  allowHttp: boolean;
}

export function createSender(options: SenderOptions): Sender {
  const { clock, transport, timeoutMs } = options;
  const userAgent = `armorhooks/${options.version}`;

  const send = async (target: Target, message: Message): Promise<AttemptResult> => {
    const started = performance.now();
    const startedAt = clock.wall();
    const deadline = started + timeoutMs;
    const addresses = await checkedAddresses(target, options, deadline);
    const outcome = Array.isArray(addresses)
      ? await transport.exchange({
          secure: target.secure,
          host: target.host,
          port: target.port,
          addresses,
          deadline,
          request: writeRequest(target, message, startedAt),
        })
      : addresses;
    const durationMs = Math.round(performance.now() - started);
    return { startedAt, durationMs, ...judge(outcome, clock.wall(), options.maxRetryAfterMs) };
  };

  return { createTarget: (input) => createTarget(input, userAgent), send };
}

function createTarget({ url, format, secrets }: TargetInput, userAgent: string): Target {
  const { protocol, hostname, host, port, pathname, search } = new URL(
    format === "pagerduty" ? splitRoutingKey(url).url : url,
  );
  const secure = protocol === "https:";
  return {
    url,
    format,
    secure,
    allowedUntil: 0,
    hostname,
    host: hostname.replace(/^\[|\]$/g, ""),
    port: port === "" ? (secure ? 443 : 80) : Number(port),
    head:
      `POST ${pathname}${search} HTTP/1.1\r\nhost: ${host}\r\n` +
      `content-type: application/json\r\nuser-agent: ${userAgent}\r\n`,
    sign: createSigner(secrets),
  };
}

/** The request as it goes over the wire; CONTRACT section 4 names the fields. */
function writeRequest(target: Target, { eventId, body: canonical }: Message, now: number): string {
  const { body } =
    target.format === "json" ? { body: canonical } : renderRequest({ ...target, eventId, body: canonical });
  const timestamp = Math.floor(now / 1000);
  return (
    `${target.head}webhook-id: ${eventId}\r\nwebhook-timestamp: ${timestamp}\r\n` +
    `webhook-signature: ${target.sign(eventId, timestamp, body)}\r\n` +
    `content-length: ${Buffer.byteLength(body)}\r\n\r\n${body}`
  );
}

/** This machine's own addresses are refused and may change, so a verdict on a literal address holds for a second only. */
const LITERAL_ALLOWED_MS = 1_000;

type Failure = { ok: false; failure: AttemptError };

/** The addresses of a target, every one of them allowed; otherwise why there is nothing to connect to. */
async function checkedAddresses(
  target: Target,
  { guard, resolve, allowHttp }: SenderOptions,
  deadline: number,
): Promise<string[] | Failure> {
  const blocked: Failure = { ok: false, failure: "blocked_address" };
  if (!target.secure && !allowHttp) return blocked;
  const now = performance.now();
  const verdict = now < target.allowedUntil ? "allowed" : guard.checkHost(target.hostname);
  if (verdict === "blocked") return blocked;
  if (verdict === "allowed") {
    if (now >= target.allowedUntil) target.allowedUntil = now + LITERAL_ALLOWED_MS;
    return [target.host];
  }
  const answers = await within(deadline, resolve(target.host));
  if (typeof answers === "string") return { ok: false, failure: answers };
  if (answers.length === 0) return { ok: false, failure: "dns_failed" };
  // One forbidden answer spoils them all: whoever controls the name chose to mix them.
  return answers.every((address) => guard.isAllowedAddress(address)) ? [...answers] : blocked;
}

async function within(
  deadline: number,
  answer: Promise<readonly string[]>,
): Promise<readonly string[] | "timeout" | "dns_failed"> {
  let timer: ReturnType<typeof setTimeout> | undefined;
  const expired = new Promise<"timeout">((resolve) => {
    timer = setTimeout(resolve, Math.max(0, deadline - performance.now()), "timeout");
  });
  try {
    return await Promise.race([answer, expired]);
  } catch {
    return "dns_failed";
  } finally {
    clearTimeout(timer);
  }
}

type Judgement = Omit<AttemptResult, "startedAt" | "durationMs">;

function judge(outcome: TransportOutcome | Failure, now: number, maxRetryAfterMs: number): Judgement {
  if (!outcome.ok) return { status: null, error: outcome.failure, excerpt: null, retryAfterMs: null };
  const { status, retryAfter, excerpt } = outcome.response;
  const mayPostpone = status === 429 || status === 503;
  return {
    status,
    error: status >= 200 && status < 300 ? null : "http_status",
    excerpt: excerpt && decodeExcerpt(excerpt),
    retryAfterMs: mayPostpone ? parseRetryAfter(retryAfter, now, maxRetryAfterMs) : null,
  };
}

/** Text of whatever bytes came; a character cut at the end is dropped, and NUL cannot be stored. */
function decodeExcerpt(bytes: Buffer): string | null {
  if (bytes.length === 0) return null;
  return new TextDecoder().decode(bytes, { stream: true }).replaceAll("\0", "\uFFFD");
}
