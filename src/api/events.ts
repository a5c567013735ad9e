import { Elysia } from "elysia";
import { AppError } from "../errors.ts";
import { type EventType, MAX_EXTERNAL_ID } from "../scan-words.ts";
import type { EventHistory } from "../store/event-history.ts";
import { type RequestContexts, withOrganization } from "./context.ts";
import { readCursor } from "./deliveries.ts";
import { deliveryLinks, link } from "./document-links.ts";
import { listOf, ref, wrap } from "./document-parts.ts";
import { documentRoute } from "./documents.ts";
import { READ_JSON } from "./gate.ts";
import { DEFAULT_LIMIT, eventParams, eventsQuery, FIELD_RULES } from "./schemas.ts";
import { deliveryView, eventView, type Viewer } from "./views.ts";
import { found } from "./webhooks.ts";

export interface EventRouteOptions {
  contexts: RequestContexts;
  history: EventHistory;
  viewer: Viewer;
  parseId: (text: string) => number | null;
}

function readExternalId(text: string | undefined): string | null {
  if (text === undefined) return null;
  if ([...text].length <= MAX_EXTERNAL_ID) return text;
  throw new AppError("VALIDATION_ERROR", FIELD_RULES["external_id"] as string);
}

/** What came in over the socket, whoever subscribed to it. */
export function eventRoutes({ contexts, history, viewer, parseId }: EventRouteOptions) {
  return new Elysia({ prefix: "/v1/events", normalize: false, tags: ["Events"] })
    .use(withOrganization(contexts))
    .get(
      "/",
      async ({ organization, query }) => {
        const { events, nextBeforeId } = await history.list({
          organizationId: organization.id,
          type: query.tier === undefined ? null : (`${query.tier}_tier` satisfies EventType),
          externalId: readExternalId(query.external_id),
          beforeId: readCursor(query.cursor),
          limit: Number(query.limit ?? DEFAULT_LIMIT),
        });
        return {
          events: events.map((event) => eventView(event, viewer)),
          next_cursor: nextBeforeId === null ? null : viewer.formatId(nextBeforeId),
        };
      },
      {
        parse: READ_JSON,
        query: eventsQuery,
        detail: documentRoute({
          summary: "List events",
          description:
            "The events of your organization, newest first, also those that nobody subscribed to. Pages stay stable while events are added.",
          status: 200,
          answer: "One page.",
          schema: wrap({
            events: listOf(ref("Event")),
            next_cursor: { type: "string", nullable: true, description: "Null on the last page." },
          }),
          links: { GetEvent: link("getV1EventsById", "events/0/id") },
        }),
      },
    )
    .get(
      "/:id",
      async ({ organization, params }) => {
        const id = parseId(params.id);
        const detail = found(id === null ? null : await history.detail(organization.id, id), "event");
        return {
          event: eventView(detail.event, viewer),
          deliveries: detail.deliveries.map((delivery) => deliveryView(delivery, viewer)),
        };
      },
      {
        parse: READ_JSON,
        params: eventParams,
        detail: documentRoute({
          summary: "Get an event",
          description: "One event, and its delivery to each webhook.",
          status: 200,
          answer: "The event.",
          schema: wrap({ event: ref("Event"), deliveries: listOf(ref("Delivery")) }),
          links: deliveryLinks("deliveries/0/id"),
          hasId: true,
        }),
      },
    );
}
