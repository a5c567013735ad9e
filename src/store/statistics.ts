/** What came of one webhook's requests within one minute. */
export interface WebhookMinute {
  /** Wall time at which it begins, milliseconds since 1970. */
  at: number;
  attempts: number;
  /** Deliveries that ended within it. */
  delivered: number;
  failed: number;
  /** How long its attempts took, packed (latency-histogram.ts). */
  latencies: Uint8Array;
}

export interface MinuteRange {
  organizationId: number;
  /** Null for all of the organization's. */
  webhookUuid: string | null;
  /** Wall times, milliseconds since 1970: minutes that begin at `from` or later and before `to`. */
  from: number;
  to: number;
}

export interface WebhookMinutes {
  webhookUuid: string;
  /** In order; minutes in which nothing happened are left out. */
  minutes: WebhookMinute[];
}

/** Counts by webhook and minute, kept as long as deliveries are. Every promise rejects with StoreFault when the store cannot be read. */
export interface Statistics {
  /** Of the webhooks that there are, newest first; empty where `webhookUuid` is none of them. */
  minutes(range: MinuteRange): Promise<WebhookMinutes[]>;
}
