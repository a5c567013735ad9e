import type { AttemptError, DeliveryStatus, EndReason } from "../outcomes.ts";
import type { EventType } from "../scan-words.ts";

/** A delivery as the API shows it. Ids are integers (ids.ts); times are milliseconds since 1970. */
export interface Delivery {
  id: number;
  webhookId: number;
  webhookUuid: string;
  eventId: number;
  eventType: EventType;
  status: DeliveryStatus;
  attemptCount: number;
  /** Schedule time (clock.ts); null when finished. */
  nextAttemptAt: number | null;
  /** HTTP status of the latest attempt; null when there was none. */
  lastStatus: number | null;
  /** Why the latest attempt failed, or why the delivery was ended without one. */
  lastError: AttemptError | EndReason | null;
  /** Wall times. */
  createdAt: number;
  finishedAt: number | null;
}

export interface Attempt {
  /** From 1. */
  number: number;
  /** Wall time, milliseconds since 1970. */
  startedAt: number;
  durationMs: number;
  /** HTTP status; null when there was no answer. */
  status: number | null;
  /** Null when it was delivered. */
  error: AttemptError | null;
  /** What a person needs to mend it, where status and error do not say it. */
  detail: string | null;
  /** The first 1 KiB of the answer's body as text. */
  responseExcerpt: string | null;
}

export interface DeliveryDetail {
  delivery: Delivery;
  /** The payload of its event, as it is sent in the format `json`. */
  payload: string;
  /** The first one first. */
  attempts: Attempt[];
}

export interface DeliveryPage {
  /** Newest first. */
  deliveries: Delivery[];
  /** The `beforeId` of the next page; null on the last one. */
  nextBeforeId: number | null;
}

export interface ListOptions {
  webhookId: number;
  /** Null for all. */
  status: DeliveryStatus | null;
  /** Only deliveries with smaller ids: where the page before ended. Null for the first page. */
  beforeId: number | null;
  limit: number;
}

/** What became of deliveries, for people who look. Every promise rejects with StoreFault when the store cannot be read. */
export interface History {
  /**
   * One page of a webhook's deliveries. Pages stay as they are while deliveries are added; with a status, one may
   * be short, even empty, before the last. While the store cannot write, the latest deliveries may be missing.
   */
  list(options: ListOptions): Promise<DeliveryPage>;
  /** Null for an unknown id and for another organization's alike. */
  get(organizationId: number, id: number): Promise<Delivery | null>;
  /** The same with all that is known of it, of one moment. */
  detail(organizationId: number, id: number): Promise<DeliveryDetail | null>;
}
