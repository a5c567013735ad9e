/**
 * The words of a scan result (docs/CONTRACT.md, section 3), and of what webhooks subscribe to. `src/client` and
 * `src/scanner` have them once more, in types, since others embed those alone.
 */

/** From the least grave on. */
export const TIERS = ["green", "yellow", "red"] as const;
export type Tier = (typeof TIERS)[number];

/** Gravest first: what was allowed got through. */
export const ACTIONS = ["allow", "flag", "block"] as const;
export type Action = (typeof ACTIONS)[number];

/** What webhooks subscribe to: one type for each tier, in their order. */
export const EVENT_TYPES = ["green_tier", "yellow_tier", "red_tier"] as const satisfies `${Tier}_tier`[];
export type EventType = (typeof EVENT_TYPES)[number];

/** Gravest first, as people are told of them. */
export const TIERS_BY_GRAVITY = ["red", "yellow", "green"] as const satisfies Tier[];
export const EVENT_TYPES_BY_GRAVITY = [
  "red_tier",
  "yellow_tier",
  "green_tier",
] as const satisfies EventType[];

/** Of the id that a scanner gives an event, in characters. */
export const MAX_EXTERNAL_ID = 128;
