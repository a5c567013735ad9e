import type { ApiKey, NewApiKey } from "./api-keys.ts";
import type { NewOrganization, Organization } from "./organizations.ts";

export interface FirstOrganization {
  organization: NewOrganization;
  key: Omit<NewApiKey, "organizationId">;
}

export interface Bootstrapped {
  organization: Organization;
  key: ApiKey;
  rawKey: string;
}

/**
 * Makes the first organization and its first key in a store without organizations; null in another. What was made is
 * shown before it is committed, and nothing stays when `show` throws, which the promise then rejects with: the only
 * key must not be one that nobody saw. Rejects with StoreFault when the store cannot write.
 */
export type Bootstrap = (
  first: FirstOrganization,
  show: (made: Bootstrapped) => void,
) => Promise<Bootstrapped | null>;
