/** The payload formats a webhook can ask for; `json` is the documented one and the default. */
export const WEBHOOK_FORMATS = ["json", "slack", "teams", "discord", "pagerduty"] as const;

/** One of WEBHOOK_FORMATS. */
export type WebhookFormat = (typeof WEBHOOK_FORMATS)[number];

/** The formats whose messages people read in a chat. */
export const CHAT_FORMATS = ["slack", "teams", "discord"] as const;

/** One of CHAT_FORMATS: one message may be about many events. */
export type ChatFormat = (typeof CHAT_FORMATS)[number];

/** True for the chat formats. */
export function isGroupable(format: WebhookFormat): format is ChatFormat {
  return (CHAT_FORMATS as readonly WebhookFormat[]).includes(format);
}

const ROUTING_KEY_LENGTH = 32;

/**
 * The `routing_key` query parameter of a pagerduty webhook's URL, or undefined unless there is exactly one
 * with a value. Never throws.
 */
export function routingKeyOf(url: string): string | undefined {
  const [key, ...others] = URL.parse(url)?.searchParams.getAll("routing_key") ?? [];
  return key === "" || others.length > 0 ? undefined : key;
}

/**
 * True if a webhook with this URL cannot use the format `pagerduty`: its routing key is missing or not 32
 * characters long (PagerDuty, "Events API v2: Send an Alert Event").
 */
export function missingRoutingKey(url: string): boolean {
  return routingKeyOf(url)?.length !== ROUTING_KEY_LENGTH;
}
