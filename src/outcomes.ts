/** The words for what became of deliveries, attempts and webhooks: the API, the metrics and the stores say the same. */

/** States of a delivery; those after the first are final until it is sent again. */
export const DELIVERY_STATUSES = ["pending", "delivered", "failed"] as const;
export type DeliveryStatus = (typeof DELIVERY_STATUSES)[number];

/** Why an attempt failed (docs/CONTRACT.md, section 5). */
export const ATTEMPT_ERRORS = [
  "connection_failed",
  "dns_failed",
  "tls_failed",
  "timeout",
  "blocked_address",
  "invalid_response",
  "http_status",
  "proxy_failed",
  "out_of_resources",
] as const;
export type AttemptError = (typeof ATTEMPT_ERRORS)[number];

/** Why a delivery was ended without an attempt. */
export const END_REASONS = ["webhook_disabled", "webhook_deleted"] as const;
export type EndReason = (typeof END_REASONS)[number];

/** Why the daemon turns a webhook off: a delivery ran out of attempts, the receiver answered 410, or its service refuses the URL for good. */
export const DISABLED_REASONS = ["attempts_exhausted", "gone", "rejected"] as const;
/** Why a webhook is off: one of those, or its owner said so. */
export type DisabledReason = (typeof DISABLED_REASONS)[number] | "owner";
