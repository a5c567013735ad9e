/** An operation, and where its parameters are in the answer (OpenAPI 3.0, "Runtime Expressions"). */
export interface LinkDocument {
  operationId: string;
  parameters: Readonly<Record<string, string>>;
}

/** Links to operations on one webhook, whose id is at a place in the answer. */
export function webhookLinks(at: string): Readonly<Record<string, LinkDocument>> {
  return {
    GetWebhook: link("getV1WebhooksById", at),
    UpdateWebhook: link("patchV1WebhooksById", at),
    TestWebhook: link("postV1WebhooksByIdTest", at),
    RotateSecret: link("postV1WebhooksByIdRotateSecret", at),
    ListDeliveries: link("getV1WebhooksByIdDeliveries", at),
    RecoverWebhook: link("postV1WebhooksByIdRecover", at),
    GetStatistics: link("getV1Stats", at, "webhook_id"),
    DeleteWebhook: link("deleteV1WebhooksById", at),
  };
}

/** Links to operations on one delivery. */
export function deliveryLinks(at: string): Readonly<Record<string, LinkDocument>> {
  return {
    GetDelivery: link("getV1DeliveriesById", at),
    RetryDelivery: link("postV1DeliveriesByIdRetry", at),
  };
}

/** A link to an operation on what the answer has at a place. */
export function link(operationId: string, at: string, parameter = "id"): LinkDocument {
  return { operationId, parameters: { [parameter]: `$response.body#/${at}` } };
}
