import { emptyResponse, type Head, headEnd, type ParsedResponse, parseHead } from "./response-head.ts";
import { createUnreadBytes } from "./unread-bytes.ts";

/**
 * Reads one HTTP/1.1 response (RFC 9112) as it arrives, keeping only what a delivery needs: the status, how long
 * to wait, and the first bytes of the body. The outcome is known once the head was read: whatever is wrong with
 * the body after that only ends the connection. What a receiver sends is bounded here in every dimension.
 */
export interface ResponseParser {
  /** Makes ready for the next response on the same connection. */
  reset(): void;
  /** Takes bytes; `more` wants further ones, `done` has all that is needed, `invalid` is no HTTP. */
  push(chunk: Buffer): ParserState;
  /** No more bytes will come: `done` when there is a head. */
  end(): "done" | "invalid";
  /** What was read, once the parser is done. */
  readonly response: ParsedResponse;
  /** Whether any byte has arrived. */
  readonly started: boolean;
}

export type ParserState = "more" | "done" | "invalid";

export type { ParsedResponse };

export const MAX_HEADER_BYTES = 64 * 1024;
/** A longer body is not read to its end: the status is known, and the connection is closed. */
export const MAX_BODY_BYTES = 16 * 1024;
const MAX_INTERIM_RESPONSES = 8;
const MAX_CHUNK_LINE_BYTES = 1024;
const MAX_TRAILER_BYTES = 16 * 1024;
/** A longer response is parsed anew each time, rather than kept while its connection idles. */
const MAX_KEPT_BYTES = 1024;

type Phase =
  | "head"
  | "fixed"
  | "chunk-size"
  | "chunk-data"
  | "chunk-end"
  | "trailers"
  | "until-close"
  | "done";

/** The longest end of a head: so that what is too long is so however it is cut into pieces. */
const HEAD_END_BYTES = 4;

const EMPTY = Buffer.alloc(0);

export function createResponseParser(): ResponseParser {
  let response = emptyResponse();
  let phase: Phase = "head";
  /** What has come and is not read yet starts at `at`; up to `searched` it holds no end of a head. */
  let held: Buffer = EMPTY;
  const unread = createUnreadBytes();
  let at = 0;
  let searched = 0;
  let remaining = 0;
  let bodyBytes = 0;
  let trailerBytes = 0;
  let interim = 0;
  let started = false;
  /** The first bytes of the body, in a buffer that grows with them. */
  let body: Buffer = EMPTY;
  let kept = 0;
  /** The latest response that came in one piece: receivers send the same bytes again and again. */
  let latest: { text: string; response: ParsedResponse } | null = null;

  /** The rest of the body cannot be read, or is not wanted. */
  const stop = (): boolean => {
    response.reusable = false;
    phase = "done";
    return true;
  };

  /** Takes a parsed head; false when it is not one that may come. */
  const takeHead = (head: Head): boolean => {
    if (head.status < 200) {
      interim += 1;
      return head.status !== 101 && interim <= MAX_INTERIM_RESPONSES;
    }
    response.status = head.status;
    response.retryAfter = head.retryAfter;
    response.resetAfter = head.resetAfter;
    response.reusable = head.persistent;
    response.keepAliveMs = head.keepAliveMs;
    response.via = head.via;
    remaining = head.length;
    phase = head.framing;
    return true;
  };

  const takeBody = (from: number, to: number): void => {
    keep(held.subarray(from, from + Math.min(to - from, MAX_BODY_BYTES - kept)));
    bodyBytes += to - from;
    if (bodyBytes > MAX_BODY_BYTES) stop();
  };

  /** The chunk's memory belongs to the socket; what is kept must be our own. */
  const keep = (bytes: Buffer): void => {
    if (bytes.length === 0) return;
    if (kept + bytes.length > body.length) {
      const larger = Buffer.allocUnsafeSlow(
        Math.max(kept + bytes.length, Math.min(2 * kept, MAX_BODY_BYTES)),
      );
      body.copy(larger, 0, 0, kept);
      body = larger;
    }
    body.set(bytes, kept);
    kept += bytes.length;
  };

  /** One step over the held bytes; false when more are needed, null when they are no HTTP. */
  const step = (): boolean | null => {
    if (phase === "head") return stepHead();
    if (phase === "until-close") {
      takeBody(at, held.length);
      at = held.length;
      return false;
    }
    if (phase === "fixed" || phase === "chunk-data") return stepData();
    return stepLine();
  };

  const stepHead = (): boolean | null => {
    const rest = at === 0 ? held : held.subarray(at);
    const end = headEnd(rest, Math.max(0, searched - HEAD_END_BYTES));
    searched = end ? 0 : rest.length;
    if (end === null) return rest.length >= MAX_HEADER_BYTES + HEAD_END_BYTES ? null : false;
    if (end.head > MAX_HEADER_BYTES) return null;
    const head = parseHead(rest.toString("latin1", 0, end.head));
    if (!head) return null;
    at += end.next;
    return takeHead(head) ? true : null;
  };

  const stepData = (): boolean => {
    const to = Math.min(held.length, at + remaining);
    const from = at;
    at = to;
    remaining -= to - from;
    takeBody(from, to);
    if (phase === "done") return true;
    if (remaining > 0) return false;
    phase = phase === "fixed" ? "done" : "chunk-end";
    return true;
  };

  /** The lines of chunked coding: sizes, the line break behind each chunk, trailers. */
  const stepLine = (): boolean => {
    const end = held.indexOf(10, at);
    if (end - at > MAX_CHUNK_LINE_BYTES) return stop();
    if (end < 0) return held.length - at > MAX_CHUNK_LINE_BYTES ? stop() : false;
    const line = held.toString("latin1", at, end).replace(/\r$/, "");
    at = end + 1;
    return takeLine(line) || stop();
  };

  const takeLine = (line: string): boolean => {
    if (phase === "chunk-end") {
      phase = "chunk-size";
      return line === "";
    }
    if (phase === "trailers") {
      if (line === "") phase = "done";
      trailerBytes += line.length;
      return trailerBytes <= MAX_TRAILER_BYTES;
    }
    const size = /^([0-9a-f]{1,8})[ \t]*(?:;.*)?$/i.exec(line)?.[1];
    if (size === undefined) return false;
    remaining = Number.parseInt(size, 16);
    phase = remaining === 0 ? "trailers" : "chunk-data";
    return true;
  };

  /** What is not read yet waits for its rest. */
  const wait = (): ParserState => {
    if (at < held.length) unread.keep(held.subarray(at));
    else unread.clear();
    held = EMPTY;
    at = 0;
    return "more";
  };

  return {
    reset() {
      response = emptyResponse();
      phase = "head";
      held = EMPTY;
      unread.clear();
      at = 0;
      searched = 0;
      remaining = 0;
      bodyBytes = 0;
      trailerBytes = 0;
      interim = 0;
      started = false;
      body = EMPTY;
      kept = 0;
    },
    get response() {
      if (kept > 0) response.body = body.length === kept ? body : body.subarray(0, kept);
      return response;
    },
    get started() {
      return started;
    },
    push(chunk) {
      const whole = !started && chunk.length <= MAX_KEPT_BYTES;
      started = true;
      if (whole && chunk.length === latest?.text.length && chunk.toString("latin1") === latest.text) {
        response = { ...latest.response };
        phase = "done";
        return "done";
      }
      held = unread.join(chunk);
      // "fixed" with nothing remaining is complete without a byte of body.
      while (phase !== "done" && (at < held.length || (phase === "fixed" && remaining === 0))) {
        const stepped = step();
        if (stepped === null) return "invalid";
        if (!stepped) break;
      }
      if (phase !== "done") return wait();
      if (at < held.length) response.reusable = false;
      else if (whole) latest = { text: chunk.toString("latin1"), response: { ...this.response } };
      // Even an empty view would keep the whole chunk in memory while the connection idles.
      held = EMPTY;
      unread.clear();
      at = 0;
      return "done";
    },
    end() {
      if (phase === "head") return "invalid";
      if (phase !== "done") stop();
      return "done";
    },
  };
}
