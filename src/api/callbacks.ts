import { ref } from "./document-parts.ts";

/** What receivers get, as the document tells it: the request of a delivery, at the URL that a webhook was registered with. */

const field = (name: string, description: string, example: string) => ({
  name,
  in: "header",
  required: true,
  description,
  schema: { type: "string" },
  example,
});

const EXAMPLE = {
  event: "red_tier",
  tier: "red",
  action: "block",
  risk_score: 85,
  signals: [{ domain: "pii", type: "ssn", confidence: 0.98, weight: 50 }],
  latency_ms: 8,
  timestamp: "2026-01-15T10:00:00.000Z",
};

const DESCRIPTION = `A POST for each event that the webhook subscribes to, at least once, signed as [Standard Webhooks](https://www.standardwebhooks.com) has it: the signed content is \`webhook-id.webhook-timestamp.body\`, and every Standard Webhooks library verifies it with the secret as it was returned. Answer 2xx once it is taken; anything else is tried again, for about two and a half days. 410 disables the webhook. The formats slack, teams, discord and pagerduty get that service's own message instead of this body.`;

const ANSWERS = {
  "2XX": { description: "Taken: delivered." },
  "410": { description: "Gone: the delivery fails at once, and the webhook is disabled." },
  "429": {
    description:
      "Wait: nothing is sent to this webhook for as long as `retry-after` says. No attempt is used up.",
  },
  default: { description: "Failed: tried again later. Redirects are not followed." },
};

export const DELIVERY_CALLBACK = {
  delivery: {
    "{$request.body#/url}": {
      post: {
        operationId: "receiveDelivery",
        summary: "Receive an event",
        description: DESCRIPTION,
        parameters: [
          field(
            "webhook-id",
            "The event: the same on every attempt. Keep it to tell repeats.",
            "019bc0f6-5bff-7000-9d3a-52c8f1d7a460",
          ),
          field(
            "webhook-timestamp",
            "Unix seconds of this attempt; refuse what is older than five minutes.",
            "1768471200",
          ),
          field(
            "webhook-signature",
            "`v1,` and a base64 HMAC-SHA256, one for each secret that counts, separated by blanks; one of them must be right.",
            "v1,K5oZfzN95Z9UVu1EsfQmfVNQhnkZ2pj9o9NDN/H/pI4=",
          ),
          field("user-agent", "armorhooks and its version.", "armorhooks/0.1.0"),
        ],
        requestBody: {
          required: true,
          content: { "application/json": { schema: ref("Payload"), example: EXAMPLE } },
        },
        responses: ANSWERS,
        security: [],
      },
    },
  },
};
