import type { ClockState } from "../clock.ts";

/** What `armorhooks doctor` wants to know of a database, read without changing anything. */
export interface Inspection {
  /**
   * `cut short`: by a start, in a way that only the next one can mend, and until then nothing can be read; `barred`:
   * to this user; `foreign`: it holds what another program has made.
   */
  state: "usable" | "cut short" | "barred" | "foreign" | "damaged";
  /** What the database finds wrong with itself, at most a few lines. */
  problems: string[];
  /** Null when the database is damaged, or no migration was applied yet. */
  facts: {
    /** Migrations of this program that were not applied, and whether a newer program has applied others. */
    missingMigrations: number;
    isNewer: boolean;
    /** One sealed secret, to tell which key fits; null when there is none. */
    sealed: Uint8Array | null;
    carriesKey: boolean;
    clock: ClockState | null;
    /** Wall time at which the newest event was received. */
    newestEventAt: number | null;
    /** URLs of the enabled webhooks. */
    urls: string[];
  } | null;
}
