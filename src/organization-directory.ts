import { AppError } from "./errors.ts";
import type { IngestOrganization, OrganizationDirectory } from "./ingest/events.ts";
import { hasWebhookAlerts } from "./plans.ts";
import type { Organization, Organizations } from "./store/organizations.ts";

export function createOrganizationDirectory(
  organizations: Pick<Organizations, "known" | "refresh">,
): OrganizationDirectory {
  let list: readonly Organization[] = [];
  let byUuid = new Map<string, IngestOrganization>();
  let only: IngestOrganization | null = null;

  const follow = (): void => {
    const known = organizations.known();
    if (known === list) return;
    list = known;
    byUuid = new Map(
      list.map(({ id, uuid, plan }) => [uuid, { id, uuid, hasAlerts: hasWebhookAlerts(plan) }]),
    );
    const [first] = byUuid.values();
    only = byUuid.size === 1 ? (first ?? null) : null;
  };

  return {
    find(uuid) {
      follow();
      return uuid === null ? only : (byUuid.get(uuid) ?? null);
    },
    refresh: organizations.refresh,
    refusal(uuid) {
      if (uuid !== null) return new AppError("NOT_FOUND", "organization_id names no organization");
      return new AppError(
        "VALIDATION_ERROR",
        byUuid.size === 0
          ? 'there is no organization yet; make one with "armorhooks org create"'
          : "organization_id is required when there are several organizations",
      );
    },
  };
}
