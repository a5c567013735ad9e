import { DELIVERY_CALLBACK } from "./callbacks.ts";
import { webhookLinks } from "./document-links.ts";
import { listOf, ref, wrap } from "./document-parts.ts";
import { documentRoute } from "./documents.ts";

/** What the OpenAPI document says of the routes of webhooks. */

export const LIST = documentRoute({
  summary: "List webhooks",
  description: "List all webhook endpoints for your organization, newest first.",
  status: 200,
  answer: "The webhooks.",
  schema: wrap({ webhooks: listOf(ref("Webhook")) }),
  links: webhookLinks("webhooks/0/id"),
});

export const CREATE = documentRoute({
  summary: "Register a webhook",
  description:
    "Register a new webhook endpoint. The secret is returned only on creation. Store it securely: it is used to verify webhook signatures.",
  status: 201,
  answer: "The webhook with its secret.",
  schema: wrap({ webhook: ref("WebhookWithSecret") }),
  links: webhookLinks("webhook/id"),
  callbacks: DELIVERY_CALLBACK,
  hasBody: true,
  carriesSecret: true,
});

export const GET = documentRoute({
  summary: "Get a webhook",
  description: "One webhook of your organization.",
  status: 200,
  answer: "The webhook.",
  schema: wrap({ webhook: ref("Webhook") }),
  links: webhookLinks("webhook/id"),
  hasId: true,
});

export function update(method: "PUT" | "PATCH") {
  return documentRoute({
    summary: `Update a webhook (${method})`,
    description: "Update an existing webhook endpoint. Only the fields given change.",
    status: 200,
    answer: "The webhook as it is now.",
    schema: wrap({ webhook: ref("Webhook") }),
    hasId: true,
    hasBody: true,
  });
}

export const REMOVE = documentRoute({
  summary: "Remove a webhook",
  description: "Remove an existing webhook endpoint. Its pending deliveries end.",
  status: 200,
  answer: "It is gone.",
  schema: wrap({ deleted: { type: "boolean", example: true } }),
  hasId: true,
});

export const TEST = documentRoute({
  summary: "Test a webhook",
  description:
    'Send a test payload to a webhook endpoint to verify connectivity: a signed synthetic payload with event: "test" and a green-tier result. If the target is unreachable or times out (10s), the response has success: false. It works on a disabled webhook and leaves failure_count and last_triggered_at alone.',
  status: 200,
  answer: "What came of it.",
  schema: ref("TestResult"),
  hasId: true,
});

export const ROTATE_SECRET = documentRoute({
  summary: "Rotate the secret",
  description:
    "Make a new secret. Until the overlap ends, requests carry both signatures, so that receivers can change over without losing any. Rotating again within an overlap keeps every secret whose overlap runs, four signatures at most; one more is a CONFLICT, whose message says until when.",
  status: 200,
  answer: "The webhook with its new secret.",
  schema: wrap({ webhook: ref("WebhookWithSecret") }),
  hasId: true,
  hasBody: true,
  hasState: true,
  carriesSecret: true,
});
