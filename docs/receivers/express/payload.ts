/** What armorhooks sends with the format "json"; `event` is "test" for the API's test request. */
export interface Payload {
  event: "red_tier" | "yellow_tier" | "green_tier" | "test";
  tier: "red" | "yellow" | "green";
  action: "allow" | "flag" | "block";
  risk_score: number;
  signals: { domain: string; type: string; confidence: number; weight: number }[];
  latency_ms: number;
  timestamp: string;
}
