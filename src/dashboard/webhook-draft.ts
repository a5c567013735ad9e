import type {
  UpdateWebhookInput,
  Webhook,
  WebhookEvent,
  WebhookFilter,
  WebhookFormat,
} from "../client/index.ts";
import { isGroupable } from "../formats.ts";
import type { Action } from "../scan-words.ts";

/** A webhook as a form holds it: texts as they are typed. */
export interface Draft {
  url: string;
  name: string;
  events: readonly WebhookEvent[];
  format: WebhookFormat;
  minRiskScore: string;
  actions: readonly Action[];
  domains: string;
  rateLimit: string;
  group: "" | "true" | "false";
  headers: string;
}

export const FORMAT_LABELS: Readonly<Record<WebhookFormat, string>> = {
  json: "JSON (the documented payload)",
  slack: "Slack",
  teams: "Microsoft Teams",
  discord: "Discord",
  pagerduty: "PagerDuty",
};

export const EMPTY_DRAFT: Draft = {
  url: "",
  name: "",
  events: ["red_tier"],
  format: "json",
  minRiskScore: "",
  actions: [],
  domains: "",
  rateLimit: "",
  group: "",
  headers: "",
};

export function draftOf(webhook: Webhook): Draft {
  const { url, name, events, format, filter, rate_limit_per_minute, group, headers } = webhook;
  return {
    url,
    name: name ?? "",
    events,
    format,
    minRiskScore: String(filter?.min_risk_score ?? ""),
    actions: filter?.actions ?? [],
    domains: filter?.domains?.join(", ") ?? "",
    rateLimit: String(rate_limit_per_minute ?? ""),
    group: group === undefined ? "" : group ? "true" : "false",
    headers: Object.entries(headers ?? {})
      .map(([field, value]) => `${field}: ${value}`)
      .join("\n"),
  };
}

/** The fields of a draft that differ from another, as the API takes them; what was emptied is null. */
export function changesOf(draft: Draft, before: Draft): UpdateWebhookInput {
  const from = inputOf(before);
  const entries = Object.entries(inputOf(draft)).filter(
    ([field, value]) => JSON.stringify(value) !== JSON.stringify(from[field as keyof typeof from]),
  );
  return Object.fromEntries(entries);
}

function inputOf(draft: Draft): Required<Omit<UpdateWebhookInput, "enabled">> {
  return {
    url: draft.url.trim(),
    name: draft.name.trim() || null,
    events: draft.events,
    format: draft.format,
    filter: filterOf(draft),
    rate_limit_per_minute: numberOrNull(draft.rateLimit),
    group: draft.group === "" || !isGroupable(draft.format) ? null : draft.group === "true",
    headers: headersOf(draft.headers),
  };
}

function filterOf({ minRiskScore, actions, domains }: Draft): WebhookFilter | null {
  const score = numberOrNull(minRiskScore);
  const names = domains
    .split(",")
    .map((domain) => domain.trim())
    .filter((domain) => domain !== "");
  const filter: WebhookFilter = {
    ...(score !== null && { min_risk_score: score }),
    ...(actions.length > 0 && { actions: [...actions] }),
    ...(names.length > 0 && { domains: names }),
  };
  return Object.keys(filter).length === 0 ? null : filter;
}

/** What is no number is sent as it is not: the API says what it must be. */
function numberOrNull(text: string): number | null {
  return text.trim() === "" ? null : Number(text);
}

/** One field a line, "name: value". */
function headersOf(text: string): Record<string, string> | null {
  const fields = text
    .split("\n")
    .filter((line) => line.trim() !== "")
    .map((line): [string, string] => {
      const colon = line.indexOf(":");
      return colon < 0 ? [line.trim(), ""] : [line.slice(0, colon).trim(), line.slice(colon + 1).trim()];
    });
  return fields.length === 0 ? null : Object.fromEntries(fields);
}
