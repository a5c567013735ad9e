import type { AppError } from "../errors.ts";
import type { ScanEvent } from "./scan-event.ts";

/** What events need to know of their organization. */
export interface IngestOrganization {
  id: number;
  uuid: string;
  hasAlerts: boolean;
}

/** A scan event whose organization is known. */
export interface IngestEvent {
  scan: ScanEvent;
  organization: IngestOrganization;
  /** Wall time, milliseconds since 1970. */
  receivedAt: number;
}

/** What became of one stored event. */
export interface StoredScan {
  /** As the outside sees it. */
  id: string;
  deliveries: number;
  duplicate: boolean;
}

/** The organizations in memory, because every event asks for one. */
export interface OrganizationDirectory {
  /** The organization with this id, or, where none is named, the only one; null when there is none that is known. */
  find(uuid: string | null): IngestOrganization | null;
  /** Looks for organizations that were made a moment ago; cheap when there are none. Rejects with StoreFault. */
  refresh(): Promise<void>;
  /** What to tell whom `find` has no organization for, after `refresh`. */
  refusal(uuid: string | null): AppError;
}
