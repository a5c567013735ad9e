import type { ClaimedDelivery } from "./delivery-queue.ts";

/** One accepted scan event, ready to be stored. */
export interface NewEvent {
  organizationId: number;
  /** The scanner's own id, if it gave one. */
  externalId: string | null;
  /** Position in EVENT_TYPES. */
  type: number;
  /** The payload as it will be sent. */
  body: string;
  /** Wall time in milliseconds. */
  receivedAt: number;
  /** Who gets it. */
  webhookIds: readonly number[];
}

export interface AppendedEvent {
  event: NewEvent;
  eventId: number;
  /** True when the organization had sent this external id before: then nothing was stored. */
  duplicate: boolean;
  /** How many deliveries were made: one for each of `webhookIds`, unless it is a duplicate. */
  deliveries: number;
}

export interface Appended {
  /** In the order of the batch. */
  events: AppendedEvent[];
  /** Those of the new deliveries that the caller may send now; all others are found by `DeliveryQueue.claim`. */
  claimed: ClaimedDelivery[];
}

/** Whether the caller takes a new delivery, whose body has so many characters, at once. */
export type Wants = (webhookId: number, length: number) => boolean;

export interface EventLog {
  /**
   * Stores a batch in one transaction, with a delivery for each of its webhooks. When it resolves, all of it
   * survives a kill of the process, and a power cut once `whenDurable` has called back; when it rejects (a store
   * fault, see `isStoreFault`), none of it was stored. `wants` is asked for each new delivery, in the order of
   * their ids, once they are stored.
   */
  append(batch: readonly NewEvent[], wants: Wants): Promise<Appended>;
  /**
   * Calls back, in the order of the calls, once all that was appended so far survives a power cut; with an error when
   * that is not sure.
   */
  whenDurable(done: (error: Error | null) => void): void;
  /** Waits for that here and now, for everybody who waits. */
  makeDurable(): void;
}
