import { type RenderEvent, renderGroup, renderRequest, resolveTest } from "./formats/render.ts";
import type { Target } from "./target.ts";

/** One event on its way to one webhook, or several in a message that can tell of many. */
export interface Message {
  /** As the outside sees it. */
  eventId: string;
  /** The payload in the format `json`. */
  body: string;
  /** Those that share the message, in order of arrival. */
  more?: readonly RenderEvent[];
  /** Whether it ends the alert that the same message has begun (pagerduty). */
  resolves?: boolean;
}

export interface WrittenRequest {
  /** Head and body as they go over the wire. */
  text: string;
  /** Its length as UTF-8. */
  bytes: number;
}

/** The request of one attempt; docs/CONTRACT.md, section 4 names the fields. `now` is wall time. */
export function writeRequest(target: Target, message: Message, now: number): WrittenRequest {
  const { eventId } = message;
  const body = target.format === "json" ? message.body : render(target, message);
  const timestamp = Math.floor(now / 1000);
  const bodyBytes = Buffer.byteLength(body);
  const text =
    `${target.head}webhook-id: ${eventId}\r\nwebhook-timestamp: ${timestamp}\r\n` +
    `webhook-signature: ${target.sign(eventId, timestamp, body)}\r\n` +
    `content-length: ${bodyBytes}\r\n\r\n${body}`;
  // All before the body is ASCII: a URL's own serialization and our words.
  return { text, bytes: text.length - body.length + bodyBytes };
}

function render(target: Target, { eventId, body, more, resolves }: Message): string {
  if (more) return renderGroup({ ...target, events: [{ eventId, body }, ...more] }).body;
  if (resolves) return resolveTest({ ...target, eventId, body }).body;
  return renderRequest({ ...target, eventId, body }).body;
}
