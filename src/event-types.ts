/** What webhooks subscribe to: one type for each tier of a scan, from the least grave on. */
export const EVENT_TYPES = ["green_tier", "yellow_tier", "red_tier"] as const;

/** One of EVENT_TYPES. */
export type EventType = (typeof EVENT_TYPES)[number];
