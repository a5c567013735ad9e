import type { EventType } from "../scan-words.ts";
import type { Delivery } from "./history.ts";

/** An event as the API shows it, also one that nobody subscribed to. */
export interface StoredEvent {
  id: number;
  /** The scanner's own id; null when it gave none. */
  externalId: string | null;
  type: EventType;
  /** Wall time, milliseconds since 1970. */
  receivedAt: number;
  /** As it is sent in the format `json`. */
  payload: string;
  /** How many deliveries it has. */
  deliveries: number;
}

export interface EventOptions {
  organizationId: number;
  /** Null for all. */
  type: EventType | null;
  externalId: string | null;
  /** Only events with smaller ids: where the page before ended. Null for the first page. */
  beforeId: number | null;
  limit: number;
}

export interface EventPage {
  /** Newest first. */
  events: StoredEvent[];
  /** The `beforeId` of the next page; null on the last one. */
  nextBeforeId: number | null;
}

export interface EventDetail {
  event: StoredEvent;
  /** In the order of the webhooks that they go to. */
  deliveries: Delivery[];
}

/** What came in, for people who look. Every promise rejects with StoreFault when the store cannot be read. */
export interface EventHistory {
  list(options: EventOptions): Promise<EventPage>;
  /** Null for an unknown id and for another organization's alike. */
  detail(organizationId: number, id: number): Promise<EventDetail | null>;
}
