/** Told how many rows of all have arrived. */
export type MoveProgress = (rows: number, total: number) => void;

export interface MovedCounts {
  organizations: number;
  keys: number;
  webhooks: number;
  events: number;
  pending: number;
  finished: number;
}

export interface Moved {
  /** The address of the database, without password. */
  to: string;
  counts: MovedCounts;
}

/** What is kept in one store, read from end to end for another. */
export interface MoveSource {
  /** One of the small facts, as it is written down. */
  meta(key: "installation_tag"): string | null;
  /** Schedule time minus wall time. */
  clockOffset: number;
  /** Rows of the small tables, whole. */
  all(table: "organizations" | "api_keys" | "webhooks" | "rotated_secrets" | "webhook_minutes"): SourceRow[];
  /** Rows of a large table after an id, in the order of their ids. */
  after(table: LargeTable, id: number, limit: number): SourceRow[];
  count(table: LargeTable | "pending"): number;
  /** The days of the ids of events and deliveries, by a moment of each, milliseconds since 1970. */
  days(): number[];
  close(): void;
}

export type LargeTable = "events" | "deliveries" | "attempts";

export type SourceRow = Record<string, string | number | Uint8Array | null>;
