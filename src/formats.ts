/** The payload formats a webhook can ask for; `json` is the documented one and the default. */
export const WEBHOOK_FORMATS = ["json", "slack", "teams", "discord", "pagerduty"] as const;

/** One of WEBHOOK_FORMATS. */
export type WebhookFormat = (typeof WEBHOOK_FORMATS)[number];

const MAX_ROUTING_KEY_LENGTH = 64;

/**
 * The `routing_key` query parameter of a pagerduty webhook's URL, or undefined unless there is exactly one,
 * of 1 to 64 characters (PagerDuty, "Events API v2: Send an Alert Event": today's keys have 32). Never
 * throws.
 */
export function routingKeyOf(url: string): string | undefined {
  const [key, ...others] = URL.parse(url)?.searchParams.getAll("routing_key") ?? [];
  if (key === undefined || key === "" || others.length > 0) return undefined;
  return key.length <= MAX_ROUTING_KEY_LENGTH ? key : undefined;
}

/** True if a webhook with this URL cannot use the format `pagerduty`: see routingKeyOf. */
export function missingRoutingKey(url: string): boolean {
  return routingKeyOf(url) === undefined;
}
