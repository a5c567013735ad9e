import { randomBytes } from "node:crypto";

/** What one request carries at most: the present secret's signature, and those of the secrets before. */
export const MAX_SIGNATURES = 4;

/** 64 lower-case hex digits from 32 random bytes (docs/CONTRACT.md, section 4). */
export function newSecret(): string {
  return randomBytes(32).toString("hex");
}
