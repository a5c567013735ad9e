/** The tiers of scan results that a webhook can subscribe to. */
export type WebhookEvent = "red_tier" | "yellow_tier" | "green_tier";

/** How a webhook's payload is written; `json` is the documented one. */
export type WebhookFormat = "json" | "slack" | "teams" | "discord" | "pagerduty";

/** Which events a webhook gets: those that pass every part given. A domain passes when a signal has it, in whatever case. */
export interface WebhookFilter {
  /** 0 to 100. */
  min_risk_score?: number;
  actions?: ("allow" | "flag" | "block")[];
  domains?: string[];
}

/** A registered target; times are ISO 8601 in UTC. What is optional is left out while it is not set. */
export interface Webhook {
  id: string;
  url: string;
  events: WebhookEvent[];
  format: WebhookFormat;
  enabled: boolean;
  failure_count: number;
  last_triggered_at: string | null;
  created_at: string;
  name?: string;
  filter?: WebhookFilter;
  rate_limit_per_minute?: number;
  group?: boolean;
  /** The names of the header fields that its requests carry; every value is `"***"`. */
  headers?: Record<string, string>;
  /** While the daemon has disabled it. */
  disabled_reason?: "attempts_exhausted" | "gone" | "rejected";
}

/** A webhook with its signing secret, which is shown here and never again. */
export interface WebhookWithSecret extends Webhook {
  secret: string;
}

/** The fields of a webhook that may be left out; null takes one off. A header value of `"***"` keeps the value that is there. */
export interface WebhookOptionsInput {
  name?: string | null | undefined;
  filter?: WebhookFilter | null | undefined;
  rate_limit_per_minute?: number | null | undefined;
  group?: boolean | null | undefined;
  headers?: Record<string, string> | null | undefined;
}

/** What registers a webhook; `events` defaults to `["red_tier"]`. */
export interface CreateWebhookInput extends WebhookOptionsInput {
  url: string;
  events?: readonly WebhookEvent[] | undefined;
  format?: WebhookFormat | undefined;
}

/** What changes on a webhook; fields left out stay as they are. */
export interface UpdateWebhookInput extends Partial<CreateWebhookInput> {
  enabled?: boolean | undefined;
}

/** The outcome of a test request; `status` is missing when the target could not be reached. */
export interface TestResult {
  success: boolean;
  status?: number;
  error?: string;
}

/** `pending` until it is `delivered` or has `failed` for good. */
export type DeliveryStatus = "pending" | "delivered" | "failed";

/** One event on its way to one webhook. */
export interface Delivery {
  id: string;
  webhook_id: string;
  event_id: string;
  event: WebhookEvent;
  status: DeliveryStatus;
  attempt_count: number;
  next_attempt_at: string | null;
  last_status: number | null;
  last_error: string | null;
  created_at: string;
  finished_at: string | null;
}

/** One POST of a delivery; `number` counts from 1, `status` is null when no answer came, `detail` says what to mend. */
export interface Attempt {
  number: number;
  started_at: string;
  duration_ms: number;
  status: number | null;
  error: string | null;
  detail: string | null;
  response_excerpt: string | null;
}

/** The body that a webhook receives. */
export interface WebhookPayload {
  event: WebhookEvent;
  tier: "green" | "yellow" | "red";
  action: "allow" | "flag" | "block";
  risk_score: number;
  signals: { domain: string; type: string; confidence: number; weight: number }[];
  latency_ms: number;
  timestamp: string;
}

/** A delivery with what is sent and every attempt so far. */
export interface DeliveryDetail extends Delivery {
  payload: WebhookPayload;
  attempts: Attempt[];
}

/** One page of deliveries, newest first; `next_cursor` is null on the last one, and only then: a page before it may be short. */
export interface DeliveryPage {
  deliveries: Delivery[];
  next_cursor: string | null;
}

/** Which deliveries to list; `limit` is 1 to 100 (default 50), `cursor` a page's `next_cursor`. */
export interface ListDeliveriesQuery {
  status?: DeliveryStatus | undefined;
  limit?: number | undefined;
  cursor?: string | null | undefined;
}

/** A scan event that came in; `external_id` is the scanner's own id, `deliveries` how many webhooks got it. */
export interface ScanEvent {
  id: string;
  external_id: string | null;
  event: WebhookEvent;
  received_at: string;
  payload: WebhookPayload;
  deliveries: number;
}

/** One page of events, newest first; `next_cursor` is null on the last one. */
export interface EventPage {
  events: ScanEvent[];
  next_cursor: string | null;
}

/** Which events to list; `limit` is 1 to 100 (default 50), `cursor` a page's `next_cursor`. */
export interface ListEventsQuery {
  tier?: WebhookPayload["tier"] | undefined;
  external_id?: string | undefined;
  limit?: number | undefined;
  cursor?: string | null | undefined;
}

/** What came of a webhook's requests within one step; latencies are milliseconds, null without an attempt. */
export interface StatisticsPoint {
  at: string;
  attempts: number;
  delivered: number;
  failed: number;
  p50_ms: number | null;
  p99_ms: number | null;
}

/** Points of each webhook, one for each step of the range. */
export interface Statistics {
  from: string;
  to: string;
  step_seconds: number;
  webhooks: { webhook_id: string; points: StatisticsPoint[] }[];
}

/** `minutes` is 1 to 1440 (default 60); without `webhook_id`, all of the organization's webhooks. */
export interface StatisticsQuery {
  webhook_id?: string | undefined;
  minutes?: number | undefined;
}

/** Something that happened, as it is written; `missed` says how many were left out as this reader was too slow. */
export type Outcome =
  | { type: "event"; data: Pick<ScanEvent, "id" | "external_id" | "event" | "deliveries"> }
  | {
      type: "attempt";
      data: { delivery_id: string; event_id: string; webhook_id: string } & Pick<
        Attempt,
        "number" | "status" | "error" | "detail" | "duration_ms"
      >;
    }
  | {
      type: "delivery";
      data: Pick<Delivery, "id" | "event_id" | "webhook_id" | "attempt_count"> & {
        status: "delivered" | "failed";
      };
    }
  | {
      type: "webhook";
      data: {
        id: string;
        name?: string;
        change: "created" | "updated" | "deleted" | "disabled";
        reason?: string;
      };
    }
  | { type: "missed"; data: { count: number } };
