import type { DisabledReason } from "./outcomes.ts";

/** What matters here of a webhook as it was, and of what it is changed to. */
interface Before {
  url: string;
  enabled: boolean;
}

interface Changes {
  url?: string | undefined;
  enabled?: boolean | undefined;
}

/** Turning a webhook on forgives its failures; turning it off notes who did. */
export function enabledFields(
  before: Before,
  { enabled }: Changes,
): { failureCount?: number; disabledReason?: DisabledReason | null } {
  if (enabled === undefined || enabled === before.enabled) return {};
  return enabled ? { failureCount: 0, disabledReason: null } : { disabledReason: "owner" };
}

/**
 * Whether what its receiver has asked for no longer counts: it has another one, or was turned off or on. Once it is on, what
 * waits to be tried again is due.
 */
export function isAnotherReceiver(before: Before, { url, enabled }: Changes): boolean {
  return (url !== undefined && url !== before.url) || (enabled !== undefined && enabled !== before.enabled);
}
