import type { Clock } from "../clock.ts";
import type { WebhookFormat } from "../formats.ts";
import { quote } from "../log.ts";
import type { AttemptError } from "../store/sqlite/deliveries.ts";
import { renderRequest, requestUrl } from "./formats/render.ts";
import {
  createDestination,
  type Destination,
  type Transport,
  type TransportOutcome,
} from "./http/transport.ts";
import type { Resolve } from "./resolver.ts";
import { parseRetryAfter } from "./retry-policy.ts";
import { createSigner, type Signer } from "./signature.ts";
import type { TargetGuard } from "./target-guard.ts";

/** Where a webhook's requests go and how they are signed: worked out once, used for every attempt. */
export interface Target {
  url: string;
  format: WebhookFormat;
  organizationId: string | null;
  /** The host that the daemon runs on. */
  source: string;
  secure: boolean;
  /** Host name or literal address as the URL has it, an IPv6 address in brackets. */
  hostname: string;
  /** The same without brackets. */
  host: string;
  port: number;
  /** The host name as it stands in a log line. */
  logHost: string;
  /** Request line and the header fields that never change. */
  head: string;
  sign: Signer;
  /** Where requests go, checked; to be found out anew when its time (monotonic) is over or the name has other addresses. */
  route: { destination: Destination; answers: readonly string[] | null; until: number } | null;
}

export interface TargetInput {
  url: string;
  format: WebhookFormat;
  /** As the outside sees it; null for the operator's own webhook. */
  organizationId: string | null;
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
  /**
   * Makes one attempt: guard, sign, POST. `onResult` is called once, within the timeout, and must not throw;
   * what a receiver or a name server does is a result like any other.
   */
  attempt(target: Target, message: Message, onResult: (result: AttemptResult) => void): void;
  /** The same as a promise, for messages that do not come by the thousand. */
  send(target: Target, message: Message): Promise<AttemptResult>;
}

export interface SenderOptions {
  guard: TargetGuard;
  resolve: Resolve;
  transport: Transport;
  clock: Clock;
  version: string;
  /** The host that the daemon runs on, as alerts name it. */
  source: string;
  timeoutMs: number;
  /** Longest pause that a `Retry-After` can ask for, milliseconds. */
  maxRetryAfterMs: number;
  allowHttp: boolean;
  /** Told of a fault of ours that ended an attempt before anything was sent. */
  onFault: (error: unknown) => void;
}

/** One attempt under way. */
interface Run {
  target: Target;
  message: Message;
  /** Monotonic, and wall time. */
  started: number;
  startedAt: number;
  onResult: (result: AttemptResult) => void;
}

export function createSender(options: SenderOptions): Sender {
  const { clock, transport, timeoutMs } = options;
  const userAgent = `armorhooks/${options.version}`;

  const finish = ({ started, startedAt, onResult }: Run, outcome: TransportOutcome | Failure): void => {
    const durationMs = Math.round(performance.now() - started);
    onResult(resultOf(outcome, { startedAt, durationMs }, clock, options.maxRetryAfterMs));
  };

  const fail = (run: Run, error: unknown): void => {
    options.onFault(error);
    finish(run, { ok: false, failure: "connection_failed" });
  };

  const go = (run: Run, found: Destination | Failure): void => {
    if ("failure" in found) {
      finish(run, found);
      return;
    }
    const { text, bytes } = writeRequest(run.target, run.message, run.startedAt);
    const request = { destination: found, text, bytes, now: run.started, deadline: run.started + timeoutMs };
    transport.exchange(request, (outcome) => finish(run, outcome));
  };

  const attempt: Sender["attempt"] = (target, message, onResult) => {
    const started = performance.now();
    const run: Run = { target, message, started, startedAt: clock.wall(), onResult };
    try {
      const found = findDestination(target, options, started, started + timeoutMs);
      if (found instanceof Promise)
        found.then((answer) => go(run, answer)).catch((error) => fail(run, error));
      else go(run, found);
    } catch (error) {
      fail(run, error);
    }
  };

  return {
    createTarget: (input) => createTarget(input, userAgent, options.source),
    attempt,
    send: (target, message) => new Promise((resolve) => attempt(target, message, resolve)),
  };
}

function createTarget(input: TargetInput, userAgent: string, source: string): Target {
  const { url, format, organizationId, secrets } = input;
  const { protocol, hostname, host, port, pathname, search } = new URL(requestUrl(format, url));
  const secure = protocol === "https:";
  return {
    url,
    format,
    organizationId,
    source,
    secure,
    route: null,
    hostname,
    logHost: quote(hostname),
    host: hostname.replace(/^\[|\]$/g, ""),
    port: port === "" ? (secure ? 443 : 80) : Number(port),
    head:
      `POST ${pathname}${search} HTTP/1.1\r\nhost: ${host}\r\n` +
      `content-type: application/json\r\nuser-agent: ${userAgent}\r\n`,
    sign: createSigner(secrets),
  };
}

/** The request as it goes over the wire, and its length as UTF-8; CONTRACT section 4 names the fields. */
function writeRequest(target: Target, { eventId, body: canonical }: Message, now: number) {
  const { body } =
    target.format === "json" ? { body: canonical } : renderRequest({ ...target, eventId, body: canonical });
  const timestamp = Math.floor(now / 1000);
  const bodyBytes = Buffer.byteLength(body);
  const text =
    `${target.head}webhook-id: ${eventId}\r\nwebhook-timestamp: ${timestamp}\r\n` +
    `webhook-signature: ${target.sign(eventId, timestamp, body)}\r\n` +
    `content-length: ${bodyBytes}\r\n\r\n${body}`;
  // All before the body is ASCII: a URL's own serialization and our words.
  return { text, bytes: text.length - body.length + bodyBytes };
}

/** This machine's own addresses are refused and may change, so a verdict holds for a second only. */
const ALLOWED_MS = 1_000;

type Failure = { ok: false; failure: AttemptError };

const BLOCKED: Failure = { ok: false, failure: "blocked_address" };

/** A target's addresses, every one of them allowed; otherwise why there is nothing to connect to. */
function findDestination(
  target: Target,
  { guard, resolve, allowHttp }: SenderOptions,
  now: number,
  deadline: number,
): Destination | Failure | Promise<Destination | Failure> {
  if (!target.secure && !allowHttp) return BLOCKED;
  const { route } = target;
  const fresh = route !== null && now < route.until;
  if (fresh && route.answers === null) return route.destination;
  const verdict = fresh ? "name" : guard.checkHost(target.hostname);
  if (verdict === "blocked") return BLOCKED;
  if (verdict === "allowed") return takeRoute(target, [target.host], null, now);
  const check = (answers: readonly string[] | "timeout" | "dns_failed"): Destination | Failure => {
    if (typeof answers === "string") return { ok: false, failure: answers };
    if (fresh && route.answers === answers) return route.destination;
    if (answers.length === 0) return { ok: false, failure: "dns_failed" };
    // One forbidden answer spoils them all: whoever controls the name chose to mix them.
    if (!answers.every((address) => guard.isAllowedAddress(address))) return BLOCKED;
    return takeRoute(target, answers, answers, now);
  };
  const answers = resolve(target.host);
  return answers instanceof Promise ? within(deadline, answers).then(check) : check(answers);
}

function takeRoute(
  target: Target,
  addresses: readonly string[],
  answers: readonly string[] | null,
  now: number,
): Destination {
  const destination = createDestination(target, addresses);
  target.route = { destination, answers, until: now + ALLOWED_MS };
  return destination;
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

function resultOf(
  outcome: TransportOutcome | Failure,
  { startedAt, durationMs }: Pick<AttemptResult, "startedAt" | "durationMs">,
  clock: Clock,
  maxRetryAfterMs: number,
): AttemptResult {
  if (!outcome.ok) {
    const { failure } = outcome;
    return { startedAt, durationMs, status: null, error: failure, excerpt: null, retryAfterMs: null };
  }
  const { status, retryAfter, excerpt } = outcome.response;
  const mayPostpone = status === 429 || status === 503;
  return {
    startedAt,
    durationMs,
    status,
    error: status >= 200 && status < 300 ? null : "http_status",
    excerpt: excerpt && excerptText(excerpt),
    retryAfterMs: mayPostpone ? parseRetryAfter(retryAfter, clock.wall(), maxRetryAfterMs) : null,
  };
}

/** Texts by bytes: a response that came before has the same buffer. */
const excerptTexts = new WeakMap<Buffer, string>();

function excerptText(bytes: Buffer): string {
  const known = excerptTexts.get(bytes);
  if (known !== undefined) return known;
  const text = decodeExcerpt(bytes);
  excerptTexts.set(bytes, text);
  return text;
}

/** Text of whatever bytes came; a character cut at the end is dropped, and NUL cannot be stored. */
function decodeExcerpt(bytes: Buffer): string {
  return new TextDecoder().decode(bytes, { stream: true }).replaceAll("\0", "\uFFFD");
}
