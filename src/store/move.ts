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
