import type { ApiKey } from "../store/api-keys.ts";
import type { Organization } from "../store/organizations.ts";

function iso(milliseconds: number): string {
  return new Date(milliseconds).toISOString();
}

/** An organization as `--json` prints it. */
export function organizationView({ uuid, name, plan, createdAt }: Organization) {
  return { id: uuid, name, plan, created_at: iso(createdAt) };
}

/** A key as `--json` prints it: never the key itself. */
export function keyView(key: ApiKey, organizationUuid: string) {
  return {
    id: key.uuid,
    organization_id: organizationUuid,
    name: key.name,
    key_prefix: key.keyPrefix,
    rate_limit_per_minute: key.rateLimitPerMinute,
    ...(key.readOnly && { read_only: true }),
    enabled: key.enabled,
    last_used_at: key.lastUsedAt === null ? null : iso(key.lastUsedAt),
    created_at: iso(key.createdAt),
    expires_at: key.expiresAt === null ? null : iso(key.expiresAt),
  };
}
