import { type AttemptError, DELIVERY_STATUSES, type DeliveryStatus, type EndReason } from "../../outcomes.ts";
import { EVENT_TYPES, type EventType } from "../../scan-words.ts";
import type { Delivery } from "../history.ts";

/** Delivery states as they are stored: positions in DELIVERY_STATUSES. */
export const STATUS = { pending: 0, delivered: 1, failed: 2 } as const satisfies Record<
  DeliveryStatus,
  number
>;
export const { pending: PENDING, delivered: DELIVERED, failed: FAILED } = STATUS;

/** A delivery as the tables have it: words as their positions. */
export interface DeliveryRow extends Omit<Delivery, "eventType" | "status" | "lastError"> {
  eventType: number;
  status: number;
  lastError: string | null;
}

export function toDelivery(row: DeliveryRow): Delivery {
  return {
    ...row,
    eventType: EVENT_TYPES[row.eventType] as EventType,
    status: DELIVERY_STATUSES[row.status] as DeliveryStatus,
    lastError: row.lastError as AttemptError | EndReason | null,
  };
}
