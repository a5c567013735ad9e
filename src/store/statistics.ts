/** What came of one webhook's requests within one step of time. */
export interface WebhookStep {
  /** Wall time at which it begins, milliseconds since 1970. */
  at: number;
  attempts: number;
  /** Deliveries that ended within it. */
  delivered: number;
  failed: number;
  /** How long its attempts took, packed (latency-histogram.ts). */
  latencies: Uint8Array;
}

export interface StepRange {
  organizationId: number;
  /** Null for all of the organization's. */
  webhookUuid: string | null;
  /** Wall times, milliseconds since 1970, both the beginning of a step. */
  from: number;
  to: number;
  /** Whole minutes in milliseconds; steps begin at multiples of it. */
  stepMs: number;
}

export interface WebhookSteps {
  webhookUuid: string;
  /** In order; those in which nothing happened are left out. */
  steps: WebhookStep[];
}

/** Counts by webhook and minute, kept as long as deliveries are. Every promise rejects with StoreFault when the store cannot be read. */
export interface Statistics {
  /** Of the webhooks that there are, newest first; empty where `webhookUuid` is none of them. */
  steps(range: StepRange): Promise<WebhookSteps[]>;
}
