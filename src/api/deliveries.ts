import { Elysia, status } from "elysia";
import { AppError } from "../errors.ts";
import { positionOf } from "../ids.ts";
import type { Delivery, History } from "../store/history.ts";
import type { Webhook, Webhooks } from "../store/webhooks.ts";
import { readTimestamp } from "../timestamp.ts";
import { type RequestContexts, withOrganization } from "./context.ts";
import { deliveryLinks, link } from "./document-links.ts";
import { listOf, ref, wrap } from "./document-parts.ts";
import { documentRoute } from "./documents.ts";
import { checkEmpty, READ_JSON } from "./gate.ts";
import {
  DEFAULT_LIMIT,
  deliveriesQuery,
  deliveryParams,
  FIELD_RULES,
  idParams,
  recoverBody,
} from "./schemas.ts";
import { attemptView, deliveryView, type Viewer } from "./views.ts";
import { found } from "./webhooks.ts";

export interface DeliveryRouteOptions {
  contexts: RequestContexts;
  webhooks: Pick<Webhooks, "get">;
  history: History;
  viewer: Viewer;
  parseId: (text: string) => number | null;
  /** Sends again what `range` (wall times) holds for a webhook; answers how many deliveries became pending. */
  recover: (webhook: Webhook, range: { since: number; until: number }) => Promise<number>;
  /** Makes one delivery pending again, due now. */
  retry: (delivery: Delivery) => Promise<void>;
  now: () => number;
}

export function deliveryRoutes(options: DeliveryRouteOptions) {
  const { contexts, webhooks, history, viewer, parseId } = options;

  const idOf = (id: string): number => found(parseId(id), "delivery");

  return new Elysia({ prefix: "/v1", normalize: false, tags: ["Deliveries"] })
    .use(withOrganization(contexts))
    .get(
      "/webhooks/:id/deliveries",
      async ({ organization, params, query }) => {
        const webhook = found(await webhooks.get(organization.id, params.id));
        const limit = Number(query.limit ?? DEFAULT_LIMIT);
        const { deliveries, nextBeforeId } = await history.list({
          webhookId: webhook.id,
          status: query.status ?? null,
          beforeId: readCursor(query.cursor),
          limit,
        });
        return {
          deliveries: deliveries.map((delivery) => deliveryView(delivery, viewer)),
          next_cursor: nextBeforeId === null ? null : viewer.formatId(nextBeforeId),
        };
      },
      {
        parse: READ_JSON,
        params: idParams,
        query: deliveriesQuery,
        detail: documentRoute({
          summary: "List deliveries",
          description:
            "The deliveries of a webhook, newest first. Pages stay stable while deliveries are added. With a status, a page may have fewer than `limit` before the last one: go on until `next_cursor` is null.",
          status: 200,
          answer: "One page.",
          schema: wrap({
            deliveries: listOf(ref("Delivery")),
            next_cursor: { type: "string", nullable: true, description: "Null on the last page." },
          }),
          links: {
            ...deliveryLinks("deliveries/0/id"),
            GetEvent: link("getV1EventsById", "deliveries/0/event_id"),
          },
          hasId: true,
        }),
      },
    )
    .get(
      "/deliveries/:id",
      async ({ organization, params }) => {
        const { delivery, payload, attempts } = found(
          await history.detail(organization.id, idOf(params.id)),
          "delivery",
        );
        return {
          delivery: {
            ...deliveryView(delivery, viewer),
            payload: JSON.parse(payload),
            attempts: attempts.map(attemptView),
          },
        };
      },
      {
        parse: READ_JSON,
        params: deliveryParams,
        detail: documentRoute({
          summary: "Get a delivery",
          description: "One delivery with its payload and every attempt.",
          status: 200,
          answer: "The delivery.",
          schema: wrap({ delivery: ref("DeliveryDetail") }),
          links: { ...deliveryLinks("delivery/id"), GetEvent: link("getV1EventsById", "delivery/event_id") },
          hasId: true,
        }),
      },
    )
    .post(
      "/deliveries/:id/retry",
      async ({ organization, params, body }) => {
        const before = found(await history.get(organization.id, idOf(params.id)), "delivery");
        if (!(await webhooks.get(organization.id, before.webhookUuid))) throw webhookDeleted();
        checkEmpty(body);
        await options.retry(before);
        const delivery = found(await history.get(organization.id, before.id), "delivery");
        return status(202, { delivery: deliveryView(delivery, viewer) });
      },
      {
        parse: READ_JSON,
        params: deliveryParams,
        detail: documentRoute({
          summary: "Retry a delivery",
          description:
            "Make a delivery pending again, due now, with a fresh budget of attempts. On a disabled webhook it waits until that is enabled.",
          status: 202,
          answer: "The delivery, pending.",
          schema: wrap({ delivery: ref("Delivery") }),
          links: deliveryLinks("delivery/id"),
          hasId: true,
          hasState: true,
        }),
      },
    )
    .post(
      "/webhooks/:id/recover",
      async ({ organization, params, body }) => {
        const webhook = found(await webhooks.get(organization.id, params.id));
        const since = readTime("since", body.since);
        const until = body.until === undefined ? options.now() : readTime("until", body.until);
        if (until < since) throw new AppError("VALIDATION_ERROR", rangeProblem(body));
        return status(202, { recovered: await options.recover(webhook, { since, until }) });
      },
      {
        parse: READ_JSON,
        params: idParams,
        body: recoverBody,
        detail: documentRoute({
          summary: "Recover a range",
          description:
            "Send each event of a time range that the webhook subscribes to and that never reached it: failed deliveries go back to pending, events that came while it was disabled get a delivery.",
          status: 202,
          answer: "How many deliveries became pending.",
          schema: wrap({ recovered: { type: "integer", example: 3 } }),
          hasId: true,
          hasBody: true,
        }),
      },
    );
}

function webhookDeleted(): AppError {
  return new AppError(
    "CONFLICT",
    "the webhook of this delivery was deleted; register it again, and scan events that come from then on go there",
  );
}

function rangeProblem({ until }: { until?: string }): string {
  return until === undefined ? "since must not be in the future" : "until must not be before since";
}

/** Where the page before ended. Throws AppError. */
export function readCursor(cursor: string | undefined): number | null {
  if (cursor === undefined) return null;
  const id = positionOf(cursor);
  if (id === null) throw new AppError("VALIDATION_ERROR", FIELD_RULES["cursor"] as string);
  return id;
}

function readTime(field: "since" | "until", text: string): number {
  const read = readTimestamp(text);
  if (typeof read === "string") throw new AppError("VALIDATION_ERROR", `${field} ${read}`);
  return read.milliseconds;
}
