import { Elysia, status } from "elysia";
import { AppError } from "../errors.ts";
import type { AttemptError } from "../outcomes.ts";
import type { EventType } from "../scan-words.ts";
import type { Organization } from "../store/organizations.ts";
import type { TooManySecrets, Webhook, Webhooks } from "../store/webhooks.ts";
import type { WebhookHeaders } from "../webhook-headers.ts";
import { MAX_SIGNATURES } from "../webhook-secrets.ts";
import { type RequestContexts, withOrganization } from "./context.ts";
import { checkEmpty, READ_JSON } from "./gate.ts";
import { createWebhookBody, idParams, rotateSecretBody, updateWebhookBody } from "./schemas.ts";
import { webhookView } from "./views.ts";
import * as documents from "./webhook-documents.ts";
import { checkGroup, readHeaders, readOptions } from "./webhook-options.ts";
import { checkWebhookUrl, type UrlRules } from "./webhook-url.ts";

export interface WebhookRouteOptions {
  contexts: RequestContexts;
  webhooks: Webhooks;
  urlRules: UrlRules;
  maxWebhooks: number;
  /** Tells that a webhook of an organization was made, changed or removed. */
  onChanged: (
    webhook: Webhook,
    organization: Organization,
    change: "created" | "updated" | "deleted",
  ) => void;
  /** Sends the test payload on the delivery code path. */
  sendTest: (webhookId: number) => Promise<TestOutcome>;
}

/** HTTP status and failure of a test request; null when the webhook is gone by now. */
export type TestOutcome = { status: number | null; error: AttemptError | null } | null;

const DEFAULT_OVERLAP_SECONDS = 86_400;

export function webhookRoutes(options: WebhookRouteOptions) {
  const { contexts, webhooks, urlRules, onChanged } = options;

  return new Elysia({ prefix: "/v1/webhooks", normalize: false, tags: ["Webhooks"] })
    .use(withOrganization(contexts))
    .get(
      "/",
      async ({ organization, readOnly }) => ({
        webhooks: (await webhooks.list(organization.id)).map((webhook) => webhookView(webhook, readOnly)),
      }),
      {
        parse: READ_JSON,
        detail: documents.LIST,
      },
    )
    .post(
      "/",
      async ({ organization, body, set }) => {
        const { url, format = "json" } = body;
        checkWebhookUrl(url, format, urlRules);
        checkGroup({ group: body.group ?? null, format });
        const input = {
          organizationId: organization.id,
          url,
          events: distinct(body.events ?? ["red_tier"]),
          format,
          ...readOptions(body),
          ...(body.headers && { headers: readHeaders(body.headers, {}) }),
        };
        const made = await webhooks.create(input, options.maxWebhooks);
        if (!made) {
          throw new AppError(
            "VALIDATION_ERROR",
            `url cannot be added: an organization has at most ${options.maxWebhooks} webhooks`,
          );
        }
        onChanged(made.webhook, organization, "created");
        set.headers["cache-control"] = "no-store";
        return status(201, { webhook: { ...webhookView(made.webhook), secret: made.secret } });
      },
      {
        parse: READ_JSON,
        body: createWebhookBody,
        detail: documents.CREATE,
      },
    )
    .get(
      "/:id",
      async ({ organization, readOnly, params }) => ({
        webhook: webhookView(found(await webhooks.get(organization.id, params.id)), readOnly),
      }),
      {
        parse: READ_JSON,
        params: idParams,
        detail: documents.GET,
      },
    )
    .put("/:id", ({ organization, params, body }) => update(organization, params.id, body), {
      parse: READ_JSON,
      params: idParams,
      body: updateWebhookBody,
      detail: documents.update("PUT"),
    })
    .patch("/:id", ({ organization, params, body }) => update(organization, params.id, body), {
      parse: READ_JSON,
      params: idParams,
      body: updateWebhookBody,
      detail: documents.update("PATCH"),
    })
    .delete(
      "/:id",
      async ({ organization, params }) => {
        onChanged(found(await webhooks.remove(organization.id, params.id)), organization, "deleted");
        return { deleted: true };
      },
      {
        parse: READ_JSON,
        params: idParams,
        detail: documents.REMOVE,
      },
    )
    .post(
      "/:id/test",
      async ({ organization, params, body }) => {
        const webhook = found(await webhooks.get(organization.id, params.id));
        checkEmpty(body);
        return testView(await options.sendTest(webhook.id));
      },
      {
        parse: READ_JSON,
        params: idParams,
        detail: documents.TEST,
      },
    )
    .post(
      "/:id/rotate-secret",
      async ({ organization, params, body, set }) => {
        const overlap = body?.overlap_seconds ?? DEFAULT_OVERLAP_SECONDS;
        const rotated = found(await webhooks.rotateSecret(organization.id, params.id, overlap * 1000));
        if ("tooManyUntil" in rotated) throw tooManySecrets(rotated);
        onChanged(rotated.webhook, organization, "updated");
        set.headers["cache-control"] = "no-store";
        return { webhook: { ...webhookView(rotated.webhook), secret: rotated.secret } };
      },
      {
        parse: READ_JSON,
        params: idParams,
        body: rotateSecretBody,
        detail: documents.ROTATE_SECRET,
      },
    );

  async function update(organization: Organization, uuid: string, body: typeof updateWebhookBody.static) {
    const { url, format, enabled, events, headers } = body;
    const changes = {
      ...(url !== undefined && { url }),
      ...(format !== undefined && { format }),
      ...(enabled !== undefined && { enabled }),
      ...(events && { events: distinct(events) }),
      ...readOptions(body),
      ...(headers !== undefined && {
        headers: (present: WebhookHeaders) => readHeaders(headers, present),
      }),
    };
    const check = (after: Webhook): void => {
      if (url !== undefined || format !== undefined) checkWebhookUrl(after.url, after.format, urlRules);
      if (body.group != null || format !== undefined) checkGroup(after);
    };
    const webhook = found(await webhooks.update(organization.id, uuid, changes, check));
    onChanged(webhook, organization, "updated");
    return { webhook: webhookView(webhook) };
  }
}

/** Another organization's webhook looks exactly like one that never existed. */
export function found<T>(value: T | null, what = "webhook"): T {
  if (value === null) throw new AppError("NOT_FOUND", `no such ${what}`);
  return value;
}

function tooManySecrets({ tooManyUntil }: TooManySecrets): AppError {
  const until = new Date(tooManyUntil).toISOString();
  return new AppError(
    "CONFLICT",
    `requests carry ${MAX_SIGNATURES} signatures at most; rotate again after ${until}, when an earlier secret stops counting, or with overlap_seconds 0`,
  );
}

function distinct(events: readonly EventType[]): EventType[] {
  return [...new Set(events)];
}

function testView(outcome: TestOutcome) {
  if (outcome === null) throw new AppError("NOT_FOUND", "no such webhook");
  const { status: httpStatus, error } = outcome;
  if (error === null && httpStatus !== null) return { success: true, status: httpStatus };
  if (error === "http_status" && httpStatus !== null) {
    return { success: false, status: httpStatus, error: `Endpoint responded with status ${httpStatus}` };
  }
  const blocked = error === "blocked_address";
  return {
    success: false,
    error: blocked ? "Target address is not allowed" : "Connection failed or timed out",
  };
}
