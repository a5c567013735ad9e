import { AppError } from "../errors.ts";
import { hasWebhookAlerts, WEBHOOK_FEATURE } from "../plans.ts";
import type { ApiKeys, Identity } from "../store/api-keys.ts";
import type { Organization } from "../store/organizations.ts";

/**
 * Who is asking, by `Authorization: Bearer ia_sk_…` (RFC 6750). One answer for every key that does not
 * hold, so that nobody learns which keys once did. Rejects with AppError, and as `identify` does.
 */
export async function authenticate(
  header: string | null,
  identify: ApiKeys["identify"],
  now: number,
): Promise<Identity> {
  const match = /^Bearer +(\S+) *$/i.exec(header ?? "");
  if (!match) throw unauthenticated('send your API key as "Authorization: Bearer ia_sk_…"');
  const identity = await identify(match[1] as string);
  const { key } = identity ?? {};
  const expired = key?.expiresAt != null && key.expiresAt <= now;
  if (!identity || !key?.enabled || expired) {
    throw unauthenticated("the API key is unknown, disabled or expired");
  }
  return identity;
}

function unauthenticated(message: string): AppError {
  return new AppError("AUTHENTICATION_ERROR", message, { "www-authenticate": "Bearer" });
}

/** Throws AppError when an organization's plan lacks `webhookAlerts`. */
export function requireWebhookAlerts({ plan }: Organization): void {
  if (hasWebhookAlerts(plan)) return;
  throw new AppError(
    "FEATURE_NOT_AVAILABLE",
    `the feature ${WEBHOOK_FEATURE} is not part of the plan ${plan}; it needs professional or enterprise`,
  );
}
