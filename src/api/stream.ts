import { Elysia } from "elysia";
import { AppError } from "../errors.ts";
import type { RequestContexts } from "./context.ts";
import { documentRoute } from "./documents.ts";
import { unavailable } from "./errors.ts";
import { READ_JSON } from "./gate.ts";

export interface StreamRouteOptions {
  contexts: RequestContexts;
  /** Begins a reader of an organization's outcomes, which ends when `mayRead` says so; null when there are too many. */
  open: (
    organizationUuid: string,
    mayRead: () => boolean | Promise<boolean>,
  ) => ReadableStream<Uint8Array> | null;
  /** Whether the key of a request still holds. */
  stillHolds: (request: Request) => boolean | Promise<boolean>;
}

const HEADERS = {
  "content-type": "text/event-stream; charset=utf-8",
  "cache-control": "no-store",
  // Nginx would keep what comes until it has a buffer full.
  "x-accel-buffering": "no",
};

const EXAMPLE = `event: attempt
data: {"delivery_id":"019bc0f6-5c00-7000-9d3a-52c8f1d7a460","event_id":"019bc0f6-5bff-7000-9d3a-52c8f1d7a460","webhook_id":"0b3b3f4e-6f0a-4c53-9a2e-5d2d4d8f5c11","number":1,"status":200,"error":null,"detail":null,"duration_ms":12}

event: delivery
data: {"id":"019bc0f6-5c00-7000-9d3a-52c8f1d7a460","event_id":"019bc0f6-5bff-7000-9d3a-52c8f1d7a460","webhook_id":"0b3b3f4e-6f0a-4c53-9a2e-5d2d4d8f5c11","status":"delivered","attempt_count":1}

`;

const DESCRIPTION = `Outcomes as they are written, as [server-sent events](https://html.spec.whatwg.org/multipage/server-sent-events.html). Each has a name and JSON data:

| event | when | data |
|---|---|---|
| \`event\` | an event was stored | \`id\`, \`external_id\` (or null), \`event\`, \`deliveries\` (how many) |
| \`attempt\` | an attempt was made | \`delivery_id\`, \`event_id\`, \`webhook_id\`, \`number\`, \`status\`, \`error\`, \`detail\`, \`duration_ms\` |
| \`delivery\` | a delivery ended with an attempt (those that end with their webhook have only its \`webhook\`) | \`id\`, \`event_id\`, \`webhook_id\`, \`status\`, \`attempt_count\` |
| \`webhook\` | a webhook was made, changed or removed, or disabled by the daemon | \`id\`, \`name\` (where it has one), \`change\` (\`created\`, \`updated\`, \`deleted\` or \`disabled\`), \`reason\` (of \`disabled\` only) |
| \`missed\` | this reader was too slow | \`count\`: how many were left out for it |

A comment comes every 15 seconds when there is nothing to tell. The stream ends when the key no longer holds and when the daemon stops: connect again then. What happened meanwhile is in the deliveries and events.`;

/** Whoever reads along, live. */
export function streamRoutes({ contexts, open, stillHolds }: StreamRouteOptions) {
  return new Elysia({ prefix: "/v1/stream", normalize: false, tags: ["Events"] }).get(
    "/",
    ({ request, server }) => {
      const context = contexts.get(request);
      if (!context?.identity) throw new AppError("AUTHENTICATION_ERROR", "this route needs an API key");
      if (context.isHead)
        return new Response(new ReadableStream({ start: (end) => end.close() }), { headers: HEADERS });
      const stream = open(context.identity.organization.uuid, () => stillHolds(request));
      if (!stream) {
        throw unavailable("too many streams are open, or the daemon is stopping; try again soon");
      }
      // It is silent for longer than other answers may be.
      server?.timeout(request, 0);
      return new Response(stream, { headers: HEADERS });
    },
    {
      parse: READ_JSON,
      detail: documentRoute({
        summary: "Follow outcomes",
        description: DESCRIPTION,
        status: 200,
        answer: "The stream; it goes on until one side closes it.",
        schema: { type: "string" },
        mediaType: "text/event-stream",
        example: EXAMPLE,
      }),
    },
  );
}
