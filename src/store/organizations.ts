import type { Plan } from "../plans.ts";

export interface Organization {
  /** Inside only; the outside sees `uuid`. */
  id: number;
  uuid: string;
  name: string;
  plan: Plan;
  /** Wall time, milliseconds since 1970. */
  createdAt: number;
}

export interface NewOrganization {
  name: string;
  plan: Plan;
}

/** Whom events and API keys belong to. Every promise rejects with StoreFault when the store cannot do its work. */
export interface Organizations {
  create(input: NewOrganization): Promise<Organization>;
  /** Changes what is given; null when there is none with this id. */
  update(uuid: string, values: { name?: string; plan?: Plan }): Promise<Organization | null>;
  /** In the order in which they were made. */
  list(): Promise<Organization[]>;
  get(uuid: string): Promise<Organization | null>;
  /**
   * All of them, from memory: every event asks for one. The same list until one changes; in a store that is
   * opened as `resident`, what changes elsewhere shows within a second.
   */
  known(): readonly Organization[];
  /** Has `known` say what is so now; cheap when nothing has changed. */
  refresh(): Promise<void>;
}
