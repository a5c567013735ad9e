import { renderRequest } from "./formats/render.ts";
import type { Target } from "./target.ts";

/** One event on its way to one webhook. */
export interface Message {
  /** As the outside sees it. */
  eventId: string;
  /** The payload in the format `json`. */
  body: string;
}

export interface WrittenRequest {
  /** Head and body as they go over the wire. */
  text: string;
  /** Its length as UTF-8. */
  bytes: number;
}

/** The request of one attempt; CONTRACT section 4 names the fields. `now` is wall time. */
export function writeRequest(
  target: Target,
  { eventId, body: canonical }: Message,
  now: number,
): WrittenRequest {
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
