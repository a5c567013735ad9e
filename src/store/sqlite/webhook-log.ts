import type { Database } from "bun:sqlite";
import { isStoreFault } from "../faults.ts";
import type { StoreDatabase } from "./database.ts";
import type { Participant } from "./participant.ts";

/**
 * Each webhook's deliveries in the order of their ids: the table `webhook_log`. An index would say the same, but
 * would be written to at once, in another page for each webhook of an event, which made up most of what an event
 * for ten webhooks cost. The table is brought up to date for many events together, and before it is read: what it
 * lacks has larger ids than all that it has, so that after a crash too nobody needs to be told what that is.
 */
export interface WebhookLog extends Participant {
  /** Notes that deliveries were made; too many, where their transaction fails, do no harm. */
  grew(deliveries: number): void;
  /** Whether new deliveries should be taken in with the transaction that makes them. */
  isWorthwhile(events: number): boolean;
  /** Takes in all that is new, what the present transaction has made itself included; a part of it. */
  takeIn(): void;
  /** Takes in all that is new, if there is any; throws when the store cannot write. */
  catchUp(): void;
  /** The same for who can do without the latest deliveries; false when the store cannot write. */
  catchUpIfPossible(): boolean;
  close(): void;
}

/** With so many events at once, each webhook's page is written for many. */
const MANY_EVENTS = 16;
/** Deliveries that the log may lack: reading them again takes about a millisecond. */
const MOST_BEHIND = 4_096;
/** The log lacks nothing for longer than this, unless the store cannot write. */
const CATCH_UP_AFTER_MS = 100;

/**
 * The largest delivery id in the log, as SQL: all deliveries up to it are there. It is looked for from the newest
 * delivery down, as the log lacks few, and there may be very many webhooks.
 */
export const LOGGED_THROUGH = `coalesce((SELECT id FROM deliveries logged WHERE EXISTS
  (SELECT 1 FROM webhook_log WHERE webhook_id = logged.webhook_id AND delivery_id = logged.id)
  ORDER BY id DESC LIMIT 1), 0)`;

export function createWebhookLog(sqlite: Database, transaction: StoreDatabase["transaction"]): WebhookLog {
  const loggedThrough = sqlite.prepare<{ id: number }, []>(`SELECT ${LOGGED_THROUGH} AS id`);
  const newest = sqlite.prepare<{ id: number }, []>("SELECT coalesce(max(id), 0) AS id FROM deliveries");
  const insert = sqlite.prepare<void, [number]>(
    "INSERT OR IGNORE INTO webhook_log SELECT webhook_id, id FROM deliveries WHERE id > ?",
  );
  /** Null until all is known to be in: another process may have been at work before this one. */
  let through: number | null = null;
  let behind = 0;
  /** What `through` is once the present transaction is committed; null where it takes in nothing. */
  let next: number | null = null;
  let timer: ReturnType<typeof setTimeout> | undefined;

  const takeIn = (): void => {
    if (through !== null && behind === 0) return;
    // Asked for once more, by another webhook's result: only what is newer still.
    insert.run(next ?? through ?? loggedThrough.get()?.id ?? 0);
    next = newest.get()?.id ?? 0;
  };

  const participant: Participant = {
    committed() {
      if (next === null) return;
      through = next;
      next = null;
      behind = 0;
      clearTimeout(timer);
      timer = undefined;
    },
    rolledBack() {
      next = null;
    },
  };

  const catchUp = (): void => {
    if (through === null || behind > 0) transaction("relaxed", takeIn, [participant]);
  };

  const catchUpIfPossible = (): boolean => {
    try {
      catchUp();
      return true;
    } catch (error) {
      // The store has said why, and a later one takes in what this one did not.
      if (isStoreFault(error)) return false;
      throw error;
    }
  };

  return {
    grew(deliveries) {
      if (deliveries === 0) return;
      behind += deliveries;
      timer ??= setTimeout(() => {
        timer = undefined;
        catchUpIfPossible();
      }, CATCH_UP_AFTER_MS).unref();
    },
    isWorthwhile: (events) => events >= MANY_EVENTS || behind >= MOST_BEHIND,
    takeIn,
    ...participant,
    catchUp,
    catchUpIfPossible,
    close: () => clearTimeout(timer),
  };
}
