const SIGNALS = '[{"domain":"pii","type":"ssn","confidence":0.98,"weight":50}]';
const TIMESTAMP = "2026-01-15T10:00:00.000Z";

export type Tier = "red" | "yellow" | "green";

export interface LineOptions {
  organizationId: string;
  tier?: Tier;
  /** Goes through as `latency_ms`, so that a request can be matched with the line that caused it. */
  sequence?: number;
  /** The scanner's own id. */
  id?: string;
}

/** One scan result as the scanner writes it to the socket, newline included. */
export function eventLine({ organizationId, tier = "red", sequence = 8, id }: LineOptions): string {
  const ownId = id === undefined ? "" : `"id":"${id}",`;
  return `{"organization_id":"${organizationId}",${ownId}"tier":"${tier}","action":"block","risk_score":85,"signals":${SIGNALS},"latency_ms":${sequence},"timestamp":"${TIMESTAMP}"}\n`;
}

/** What a receiver gets for it. */
export function eventBody(sequence = 8, tier: Tier = "red"): string {
  return `{"event":"${tier}_tier","tier":"${tier}","action":"block","risk_score":85,"signals":${SIGNALS},"latency_ms":${sequence},"timestamp":"${TIMESTAMP}"}`;
}
