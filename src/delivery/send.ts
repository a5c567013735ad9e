import type { Clock } from "../clock.ts";
import type { AttemptError } from "../outcomes.ts";
import { explain, FAILED, type Meaning, meaningOf, UNSENT } from "./answer.ts";
import type { Destination } from "./http/destination.ts";
import type { Transport, TransportOutcome } from "./http/transport.ts";
import { type Message, writeRequest } from "./request.ts";
import { findDestination, type RouteFailure, type RouteOptions } from "./route.ts";
import { createTarget, type Target, type TargetInput } from "./target.ts";

export type { Message } from "./request.ts";
export type { Target } from "./target.ts";

/** What one attempt came to. */
export interface AttemptResult {
  /** Wall time, milliseconds. */
  startedAt: number;
  durationMs: number;
  status: number | null;
  /** Null exactly when the event was delivered. */
  error: AttemptError | null;
  /** What a person needs to mend it, where `error` and `status` do not say it. */
  detail: string | null;
  meaning: Meaning;
  /** The first 1 KiB of the response body. */
  excerpt: string | null;
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

export interface SenderOptions extends RouteOptions {
  transport: Transport;
  clock: Clock;
  version: string;
  /** The host that the daemon runs on, as alerts name it. */
  source: string;
  timeoutMs: number;
  /** Longest pause that a receiver can ask for, milliseconds. */
  maxRetryAfterMs: number;
  /** Told of a fault of ours that ended an attempt before anything was sent. */
  onFault: (error: unknown) => void;
}

/** One attempt under way. */
interface Sending {
  target: Target;
  message: Message;
  /** Monotonic, and wall time. */
  started: number;
  startedAt: number;
  onResult: (result: AttemptResult) => void;
}

export function createSender(options: SenderOptions): Sender {
  const { clock, transport, timeoutMs } = options;
  const every = {
    userAgent: `armorhooks/${options.version}`,
    source: options.source,
    proxy: options.proxy ?? null,
  };

  const finish = (
    { target, started, startedAt, onResult }: Sending,
    outcome: TransportOutcome | RouteFailure,
  ): void => {
    const times = { startedAt, durationMs: Math.round(performance.now() - started) };
    onResult(
      outcome.ok
        ? resultOf(target, outcome.response, times, { now: clock.wall(), maxWaitMs: options.maxRetryAfterMs })
        : failureOf(outcome, times),
    );
  };

  const fail = (sending: Sending, error: unknown): void => {
    options.onFault(error);
    finish(sending, {
      ok: false,
      failure: "connection_failed",
      detail: "a fault of armorhooks itself: see its log",
    });
  };

  const go = (sending: Sending, found: Destination | RouteFailure): void => {
    if ("failure" in found) {
      finish(sending, found);
      return;
    }
    const { text, bytes } = writeRequest(sending.target, sending.message, sending.startedAt);
    const request = {
      destination: found,
      text,
      bytes,
      now: sending.started,
      deadline: sending.started + timeoutMs,
    };
    transport.exchange(request, (outcome) => finish(sending, outcome));
  };

  const attempt: Sender["attempt"] = (target, message, onResult) => {
    const started = performance.now();
    const sending: Sending = { target, message, started, startedAt: clock.wall(), onResult };
    try {
      const found = findDestination(target, options, started, started + timeoutMs);
      if (found instanceof Promise)
        found.then((answer) => go(sending, answer)).catch((error) => fail(sending, error));
      else go(sending, found);
    } catch (error) {
      fail(sending, error);
    }
  };

  return {
    createTarget: (input) => createTarget(input, every),
    attempt,
    send: (target, message) => new Promise((resolve) => attempt(target, message, resolve)),
  };
}

type Times = Pick<AttemptResult, "startedAt" | "durationMs">;
type Response = Extract<TransportOutcome, { ok: true }>["response"];
type Failure = Exclude<TransportOutcome | RouteFailure, { ok: true }>;

function failureOf({ failure, detail }: Failure, times: Times): AttemptResult {
  const meaning = failure === "out_of_resources" ? UNSENT : FAILED;
  return { ...times, status: null, error: failure, detail, meaning, excerpt: null };
}

function resultOf(
  { format }: Target,
  { status, retryAfter, resetAfter, body }: Response,
  { startedAt, durationMs }: Times,
  { now, maxWaitMs }: { now: number; maxWaitMs: number },
): AttemptResult {
  const texts = body === null ? NO_TEXTS : textsOf(body);
  const meaning = meaningOf(
    format,
    { status, retryAfter, resetAfter, body: texts.body ?? "" },
    now,
    maxWaitMs,
  );
  return {
    startedAt,
    durationMs,
    status,
    error: meaning.kind === "delivered" ? null : "http_status",
    detail: meaning.kind === "delivered" ? null : explain(format, status, meaning),
    meaning,
    excerpt: texts.excerpt,
  };
}

const EXCERPT_BYTES = 1024;

interface Texts {
  body: string | null;
  excerpt: string | null;
}

const NO_TEXTS: Texts = { body: null, excerpt: null };

/** Texts by bytes: a response that came before has the same buffer. */
const knownTexts = new WeakMap<Buffer, Texts>();

function textsOf(bytes: Buffer): Texts {
  const known = knownTexts.get(bytes);
  if (known !== undefined) return known;
  const body = decode(bytes);
  const excerpt = bytes.length <= EXCERPT_BYTES ? body : decode(bytes.subarray(0, EXCERPT_BYTES));
  const texts = { body, excerpt };
  knownTexts.set(bytes, texts);
  return texts;
}

/** Text of whatever bytes came; a character cut at the end is dropped, and NUL cannot be stored. */
function decode(bytes: Buffer): string {
  return new TextDecoder().decode(bytes, { stream: true }).replaceAll("\0", "\uFFFD");
}
