import { randomBytes } from "node:crypto";

/** What one request carries at most: the present secret's signature, and those of the secrets before. */
export const MAX_SIGNATURES = 4;

/**
 * Whether a webhook may get another secret, the present one counting too for an overlap (milliseconds; 0: not at all),
 * beside those that `running` does: null, or the wall time until which that would be a signature too many.
 */
export function tooManyUntil(running: readonly { expiresAt: number }[], overlapMs: number): number | null {
  const signatures = 1 + running.length + (overlapMs > 0 ? 1 : 0);
  return signatures > MAX_SIGNATURES ? Math.min(...running.map(({ expiresAt }) => expiresAt)) : null;
}

/** 64 lower-case hex digits from 32 random bytes (docs/CONTRACT.md, section 4). */
export function newSecret(): string {
  return randomBytes(32).toString("hex");
}
