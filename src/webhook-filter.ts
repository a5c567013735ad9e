import type { Action } from "./scan-words.ts";

/** Which events a webhook wants beside their type: those that pass every part that is there. */
export interface WebhookFilter {
  /** 0 to 100. */
  min_risk_score?: number;
  actions?: Action[];
  /** One of the event's signals must have one of these domains, in whatever case. */
  domains?: string[];
}

/** What filters look at. */
export interface FilteredScan {
  action: Action;
  risk_score: number;
  signals: readonly { domain: string }[];
}

/** Whether an event is one that the webhook wants. */
export type Passes = (scan: FilteredScan) => boolean;

/** A filter made ready to be asked for every event. */
export function compileFilter({ min_risk_score, actions, domains }: WebhookFilter): Passes {
  const wanted = domains && new Set(domains.map(folded));
  return (scan) => {
    if (min_risk_score !== undefined && scan.risk_score < min_risk_score) return false;
    if (actions !== undefined && !actions.includes(scan.action)) return false;
    return !wanted || scan.signals.some(({ domain }) => wanted.has(folded(domain)));
  };
}

/** Upper case first: `ß` and `SS` are the same without case. */
function folded(text: string): string {
  return text.toUpperCase().toLowerCase();
}

/** A payload (docs/CONTRACT.md, section 4) as filters see it; it is read when the first of them asks, and once. */
export function lazily(body: string): () => FilteredScan {
  let scan: FilteredScan | null = null;
  return () => {
    scan ??= JSON.parse(body) as FilteredScan;
    return scan;
  };
}
