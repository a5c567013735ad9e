/** How the clients call an operation of the API, and what they give back of its answer. */
export interface ClientCall {
  typescript: string;
  python: string;
  /** The field of the answer that the method gives back; all of it when left out. */
  unwrap?: string;
  /** For Python, which gives back the value itself where TypeScript gives the object around it. */
  pythonUnwrap?: string;
  /** Arguments that Python takes by position. */
  positional?: string[];
}

/** Operations that need a key; those that need none are for monitoring, and no methods. */
export const CALLS: Record<string, ClientCall> = {
  "GET /v1/webhooks": { typescript: "listWebhooks", python: "list_webhooks", unwrap: "webhooks" },
  "POST /v1/webhooks": { typescript: "createWebhook", python: "create_webhook", unwrap: "webhook" },
  "GET /v1/webhooks/{id}": { typescript: "getWebhook", python: "get_webhook", unwrap: "webhook" },
  "PATCH /v1/webhooks/{id}": { typescript: "updateWebhook", python: "update_webhook", unwrap: "webhook" },
  "DELETE /v1/webhooks/{id}": {
    typescript: "deleteWebhook",
    python: "delete_webhook",
    pythonUnwrap: "deleted",
  },
  "POST /v1/webhooks/{id}/test": { typescript: "testWebhook", python: "test_webhook" },
  "POST /v1/webhooks/{id}/rotate-secret": {
    typescript: "rotateSecret",
    python: "rotate_secret",
    unwrap: "webhook",
  },
  "POST /v1/webhooks/{id}/recover": {
    typescript: "recoverWebhook",
    python: "recover_webhook",
    pythonUnwrap: "recovered",
  },
  "GET /v1/webhooks/{id}/deliveries": { typescript: "listDeliveries", python: "list_deliveries" },
  "GET /v1/deliveries/{id}": { typescript: "getDelivery", python: "get_delivery", unwrap: "delivery" },
  "POST /v1/deliveries/{id}/retry": {
    typescript: "retryDelivery",
    python: "retry_delivery",
    unwrap: "delivery",
  },
  "GET /v1/events": { typescript: "listEvents", python: "list_events" },
  "GET /v1/events/{id}": { typescript: "getEvent", python: "get_event" },
  "GET /v1/stats": { typescript: "getStatistics", python: "get_statistics" },
  "GET /v1/stream": { typescript: "stream", python: "stream" },
};

/** The same operation by another method. */
export const ALIASES: Record<string, string> = { "PUT /v1/webhooks/{id}": "PATCH /v1/webhooks/{id}" };
