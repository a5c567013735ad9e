import { isGroupable, type WebhookFormat } from "../formats.ts";
import type { Webhooks } from "../store/webhooks.ts";
import type { PaceLimit } from "./pace.ts";
import type { Sender, Target } from "./send.ts";

/** What the engine needs to know of a webhook. */
export interface WebhookSettings {
  uuid: string;
  /** What its owner calls it. */
  name: string | null;
  organizationId: number;
  organizationUuid: string;
  enabled: boolean;
  format: WebhookFormat;
  target: Target;
  /** Wall time until which it is signed with a rotated secret too; infinite when it is not. */
  targetUntil: number;
  /** Null when requests need not be spaced. */
  pace: PaceLimit | null;
  /** Whether deliveries that wait may share one message. */
  isGrouped: boolean;
  failureCount: number;
  /** Schedule time. */
  lastSuccessAt: number | null;
  /** Schedule time until which the receiver has asked to wait, as far as that is recorded; null when it has not. */
  pausedUntil: number | null;
}

/** The paces that services ask for, requests a minute and at once (their public documents), where a webhook has none of its own. */
const SERVICE_PACES: Record<WebhookFormat, PaceLimit | null> = {
  json: null,
  slack: { perMinute: 60, burst: 1 },
  discord: { perMinute: 30, burst: 5 },
  pagerduty: { perMinute: 120, burst: 1 },
  teams: { perMinute: 120, burst: 1 },
};

/** Makes of a webhook's row what the engine needs; null when there is no such webhook. */
export type LoadSettings = (webhookId: number) => Promise<WebhookSettings | null>;

export interface SettingsOptions {
  webhooks: Pick<Webhooks, "load">;
  sender: Pick<Sender, "createTarget">;
}

export function createSettingsLoader({ webhooks, sender }: SettingsOptions): LoadSettings {
  return async (webhookId) => {
    const loaded = await webhooks.load(webhookId);
    if (!loaded) return null;
    const { webhook, secret, rotatedSecrets, headers, organizationUuid, pausedUntil } = loaded;
    const { rateLimitPerMinute } = webhook;
    return {
      uuid: webhook.uuid,
      name: webhook.name,
      organizationId: webhook.organizationId,
      organizationUuid,
      enabled: webhook.enabled,
      format: webhook.format,
      target: sender.createTarget({
        url: webhook.url,
        format: webhook.format,
        organizationId: organizationUuid,
        secrets: [secret, ...rotatedSecrets.map((rotated) => rotated.secret)],
        headers,
      }),
      // Made anew when the first of them stops counting.
      targetUntil: Math.min(...rotatedSecrets.map(({ expiresAt }) => expiresAt)),
      pace:
        rateLimitPerMinute === null
          ? SERVICE_PACES[webhook.format]
          : { perMinute: rateLimitPerMinute, burst: 1 },
      isGrouped: isGroupable(webhook.format) && webhook.group !== false,
      failureCount: webhook.failureCount,
      lastSuccessAt: webhook.lastSuccessAt,
      pausedUntil,
    };
  };
}
