import { emptyResponse, type Head, headEnd, type ParsedResponse, parseHead } from "./response-head.ts";
import { createUnreadBytes, type UnreadBytes } from "./unread-bytes.ts";

/**
 * Reads one HTTP/1.1 response (RFC 9112) as it arrives, keeping only what a delivery needs: the status, how long
 * to wait, and the first bytes of the body. The outcome is known once the head was read: whatever is wrong with
 * the body after that only ends the connection. What a receiver sends is bounded here in every dimension.
 * Over 250 lines: one machine whose phases are read together.
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
  /** Why it is invalid. */
  readonly problem: string;
}

export type ParserState = "more" | "done" | "invalid";

export type { ParsedResponse };

export const MAX_HEADER_BYTES = 64 * 1024;
/** A longer body is not read to its end: the status is known, and the connection is closed. */
export const MAX_BODY_BYTES = 16 * 1024;
const MAX_INTERIM_RESPONSES = 8;
const NO_HTTP = "what the receiver sent is no HTTP/1.1 response";
const TOO_LONG = `the head of the receiver's answer is longer than ${MAX_HEADER_BYTES / 1024} KiB`;
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
  return new HeldResponseParser();
}

/** A class: there is one for each connection, and functions of its own for each took 3 KB (socket-connection.ts). */
class HeldResponseParser implements ResponseParser {
  #response = emptyResponse();
  #phase: Phase = "head";
  /** What has come and is not read yet starts at `at`; up to `searched` it holds no end of a head. */
  #held: Buffer = EMPTY;
  /** Made when something has to wait for its rest. */
  #unread: UnreadBytes | null = null;
  #at = 0;
  #searched = 0;
  #remaining = 0;
  #bodyBytes = 0;
  #trailerBytes = 0;
  #interim = 0;
  #started = false;
  problem = NO_HTTP;
  /** The first bytes of the body, in a buffer that grows with them. */
  #body: Buffer = EMPTY;
  #kept = 0;
  /** The latest response that came in one piece: receivers send the same bytes again and again. */
  #latest: { text: string; response: ParsedResponse } | null = null;

  get response(): ParsedResponse {
    if (this.#kept > 0) {
      this.#response.body =
        this.#body.length === this.#kept ? this.#body : this.#body.subarray(0, this.#kept);
    }
    return this.#response;
  }

  get started(): boolean {
    return this.#started;
  }

  reset(): void {
    this.#response = emptyResponse();
    this.#phase = "head";
    this.#held = EMPTY;
    this.#unread = null;
    this.#at = 0;
    this.#searched = 0;
    this.#remaining = 0;
    this.#bodyBytes = 0;
    this.#trailerBytes = 0;
    this.#interim = 0;
    this.#started = false;
    this.#body = EMPTY;
    this.#kept = 0;
  }

  push(chunk: Buffer): ParserState {
    const whole = !this.#started && chunk.length <= MAX_KEPT_BYTES;
    this.#started = true;
    const latest = this.#latest;
    if (whole && chunk.length === latest?.text.length && chunk.toString("latin1") === latest.text) {
      this.#response = { ...latest.response };
      this.#phase = "done";
      return "done";
    }
    this.#held = this.#unread ? this.#unread.join(chunk) : chunk;
    while (this.#mayStep) {
      const stepped = this.#step();
      if (stepped === null) return "invalid";
      if (!stepped) break;
    }
    if (this.#phase !== "done") return this.#wait();
    if (this.#at < this.#held.length) this.#response.reusable = false;
    else if (whole) this.#latest = { text: chunk.toString("latin1"), response: { ...this.response } };
    // Even an empty view would keep the whole chunk in memory while the connection idles.
    this.#held = EMPTY;
    this.#unread = null;
    this.#at = 0;
    return "done";
  }

  end(): "done" | "invalid" {
    if (this.#phase === "head") return "invalid";
    if (this.#phase !== "done") this.#stop();
    return "done";
  }

  get #mayStep(): boolean {
    if (this.#phase === "done") return false;
    // "fixed" with nothing remaining is complete without a byte of body.
    return this.#at < this.#held.length || (this.#phase === "fixed" && this.#remaining === 0);
  }

  /** What is not read yet waits for its rest. */
  #wait(): ParserState {
    if (this.#at < this.#held.length) {
      this.#unread ??= createUnreadBytes();
      this.#unread.keep(this.#held.subarray(this.#at));
    } else this.#unread = null;
    this.#held = EMPTY;
    this.#at = 0;
    return "more";
  }

  /** The rest of the body cannot be read, or is not wanted. */
  #stop(): boolean {
    this.#response.reusable = false;
    this.#phase = "done";
    return true;
  }

  /** One step over the held bytes; false when more are needed, null when they are no HTTP. */
  #step(): boolean | null {
    if (this.#phase === "head") return this.#stepHead();
    if (this.#phase === "until-close") {
      this.#takeBody(this.#at, this.#held.length);
      this.#at = this.#held.length;
      return false;
    }
    if (this.#phase === "fixed" || this.#phase === "chunk-data") return this.#stepData();
    return this.#stepLine();
  }

  #stepHead(): boolean | null {
    const rest = this.#at === 0 ? this.#held : this.#held.subarray(this.#at);
    const end = headEnd(rest, Math.max(0, this.#searched - HEAD_END_BYTES));
    this.#searched = end ? 0 : rest.length;
    const isTooLong = end ? end.head > MAX_HEADER_BYTES : rest.length >= MAX_HEADER_BYTES + HEAD_END_BYTES;
    if (isTooLong) {
      this.problem = TOO_LONG;
      return null;
    }
    if (end === null) return false;
    const head = parseHead(rest.toString("latin1", 0, end.head));
    if (!head) return null;
    this.#at += end.next;
    return this.#takeHead(head) ? true : null;
  }

  /** Takes a parsed head; false when it is not one that may come. */
  #takeHead(head: Head): boolean {
    if (head.status < 200) {
      this.#interim += 1;
      return head.status !== 101 && this.#interim <= MAX_INTERIM_RESPONSES;
    }
    const response = this.#response;
    response.status = head.status;
    response.retryAfter = head.retryAfter;
    response.resetAfter = head.resetAfter;
    response.reusable = head.persistent;
    response.keepAliveMs = head.keepAliveMs;
    response.via = head.via;
    this.#remaining = head.length;
    this.#phase = head.framing;
    return true;
  }

  #stepData(): boolean {
    const from = this.#at;
    this.#at = Math.min(this.#held.length, from + this.#remaining);
    this.#remaining -= this.#at - from;
    if (this.#takeBody(from, this.#at)) return true;
    if (this.#remaining > 0) return false;
    this.#phase = this.#phase === "fixed" ? "done" : "chunk-end";
    return true;
  }

  /** Answers whether that was all that is wanted. */
  #takeBody(from: number, to: number): boolean {
    this.#keep(this.#held.subarray(from, from + Math.min(to - from, MAX_BODY_BYTES - this.#kept)));
    this.#bodyBytes += to - from;
    return this.#bodyBytes > MAX_BODY_BYTES && this.#stop();
  }

  /** The chunk's memory belongs to the socket; what is kept must be our own. */
  #keep(bytes: Buffer): void {
    if (bytes.length === 0) return;
    const length = this.#kept + bytes.length;
    if (length > this.#body.length) {
      const larger = Buffer.allocUnsafeSlow(Math.max(length, Math.min(2 * this.#kept, MAX_BODY_BYTES)));
      this.#body.copy(larger, 0, 0, this.#kept);
      this.#body = larger;
    }
    this.#body.set(bytes, this.#kept);
    this.#kept = length;
  }

  /** The lines of chunked coding: sizes, the line break behind each chunk, trailers. */
  #stepLine(): boolean {
    const held = this.#held;
    const end = held.indexOf(10, this.#at);
    if (end - this.#at > MAX_CHUNK_LINE_BYTES) return this.#stop();
    if (end < 0) return held.length - this.#at > MAX_CHUNK_LINE_BYTES ? this.#stop() : false;
    const line = held.toString("latin1", this.#at, end).replace(/\r$/, "");
    this.#at = end + 1;
    return this.#takeLine(line) || this.#stop();
  }

  #takeLine(line: string): boolean {
    if (this.#phase === "chunk-end") {
      this.#phase = "chunk-size";
      return line === "";
    }
    if (this.#phase === "trailers") {
      if (line === "") this.#phase = "done";
      this.#trailerBytes += line.length;
      return this.#trailerBytes <= MAX_TRAILER_BYTES;
    }
    const size = /^([0-9a-f]{1,8})[ \t]*(?:;.*)?$/i.exec(line)?.[1];
    if (size === undefined) return false;
    this.#remaining = Number.parseInt(size, 16);
    this.#phase = this.#remaining === 0 ? "trailers" : "chunk-data";
    return true;
  }
}
