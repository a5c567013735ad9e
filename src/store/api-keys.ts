import type { Organization } from "./organizations.ts";

/** An API key, never the key itself: that is shown once, and kept as a hash. */
export interface ApiKey {
  /** Inside only; the outside sees `uuid`. */
  id: number;
  uuid: string;
  organizationId: number;
  name: string;
  /** How the key begins, for people to tell keys apart. */
  keyPrefix: string;
  rateLimitPerMinute: number;
  /** Whether it may only read. */
  readOnly: boolean;
  /** False once it was revoked. */
  enabled: boolean;
  /** Wall times, milliseconds since 1970. */
  lastUsedAt: number | null;
  createdAt: number;
  expiresAt: number | null;
}

/** Who asks with a key. */
export interface Identity {
  key: ApiKey;
  organization: Organization;
}

export interface NewApiKey {
  organizationId: number;
  name: string;
  rateLimitPerMinute: number;
  /** Left out: it may write too. */
  readOnly?: boolean;
  /** Wall time, milliseconds since 1970; null for never. */
  expiresAt: number | null;
}

/** Every promise rejects with StoreFault when the store cannot do its work. */
export interface ApiKeys {
  /** Makes a key: `ia_sk_` and 48 hex digits. The raw key is in this answer only. */
  create(input: NewApiKey): Promise<{ key: ApiKey; rawKey: string }>;
  /** In the order in which they were made. */
  list(organizationId: number): Promise<ApiKey[]>;
  /** Turns a key off for good; null when there is none with this id. */
  revoke(uuid: string): Promise<ApiKey | null>;
  /**
   * Whom a raw key stands for, whether or not it still holds; null when unknown. Every request asks, so the answer
   * comes without a wait as a rule, and as a promise only where it must be looked up elsewhere. A key that was
   * made or revoked elsewhere is known to be so within a second. Throws, or rejects with, StoreFault.
   * In a store that is opened as `resident`, the use is noted and written down within a second.
   */
  identify(rawKey: string): Identity | null | Promise<Identity | null>;
}
