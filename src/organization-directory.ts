import { AppError } from "./errors.ts";
import type { IngestOrganization } from "./ingest/server.ts";
import { hasWebhookAlerts } from "./plans.ts";
import type { Store } from "./store/sqlite/store.ts";

/** The organizations in memory, because every event asks for one. */
export interface OrganizationDirectory {
  /** Throws AppError when there is none with this id, or when none is named and there is not exactly one. */
  find(uuid: string | null): IngestOrganization;
  /** Takes over what the command line has changed since; cheap when it has not. */
  refresh(): void;
}

export function createOrganizationDirectory({ database, organizations }: Store): OrganizationDirectory {
  let version = "";
  let byUuid = new Map<string, IngestOrganization>();
  let only: IngestOrganization | null = null;

  const refresh = (): void => {
    const now = `${database.dataVersion()} ${organizations.changes()}`;
    if (now === version) return;
    const list = organizations
      .list()
      .map(({ id, uuid, plan }) => ({ id, uuid, hasAlerts: hasWebhookAlerts(plan) }));
    byUuid = new Map(list.map((organization) => [organization.uuid, organization]));
    only = list.length === 1 ? (list[0] ?? null) : null;
    version = now;
  };
  refresh();

  const find = (uuid: string | null): IngestOrganization | null =>
    uuid === null ? only : (byUuid.get(uuid) ?? null);

  return {
    refresh,
    find(uuid) {
      const known = find(uuid);
      if (known) return known;
      // Perhaps made a moment ago.
      refresh();
      const found = find(uuid);
      if (found) return found;
      if (uuid !== null) throw new AppError("NOT_FOUND", "organization_id names no organization");
      throw new AppError(
        "VALIDATION_ERROR",
        byUuid.size === 0
          ? 'there is no organization yet; make one with "armorhooks org create"'
          : "organization_id is required when there are several organizations",
      );
    },
  };
}
