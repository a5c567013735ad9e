import type { Store } from "../store/sqlite/store.ts";
import type { Webhook } from "../store/sqlite/webhooks.ts";
import { createLane, type Lane } from "./lane.ts";
import type { Sender, Target } from "./send.ts";

export interface LoadedTarget {
  webhook: Webhook;
  organizationUuid: string;
  target: Target;
  /** Wall time until which it is signed with a rotated secret too; infinite when it is not. */
  targetUntil: number;
}

/** Makes of a webhook's row what the worker needs; null when there is no such webhook. */
export interface LaneLoader {
  target(webhookId: number): LoadedTarget | null;
  lane(webhookId: number): Lane | null;
}

export interface LaneLoaderOptions {
  store: Pick<Store, "webhooks">;
  sender: Sender;
}

export function createLaneLoader({ store, sender }: LaneLoaderOptions): LaneLoader {
  const target: LaneLoader["target"] = (webhookId) => {
    const loaded = store.webhooks.load(webhookId);
    if (!loaded) return null;
    const { webhook, secret, rotatedSecrets, headers, organizationUuid } = loaded;
    return {
      webhook,
      organizationUuid,
      target: sender.createTarget({
        url: webhook.url,
        format: webhook.format,
        organizationId: organizationUuid,
        secrets: [secret, ...rotatedSecrets.map((rotated) => rotated.secret)],
        headers,
      }),
      // Made anew when the first of them stops counting.
      targetUntil: Math.min(...rotatedSecrets.map(({ expiresAt }) => expiresAt)),
    };
  };

  return {
    target,
    lane(webhookId) {
      const loaded = target(webhookId);
      if (!loaded) return null;
      const { webhook, organizationUuid, targetUntil } = loaded;
      return createLane({
        webhookId,
        webhookUuid: webhook.uuid,
        webhookName: webhook.name,
        organizationId: webhook.organizationId,
        organizationUuid,
        target: webhook.enabled ? loaded.target : null,
        targetUntil,
        failureCount: webhook.failureCount,
        lastSuccessAt: webhook.lastSuccessAt,
      });
    },
  };
}
