import { t } from "elysia";
import { AppError } from "../errors.ts";
import { CHAT_FORMATS, isGroupable } from "../formats.ts";
import { ACTIONS } from "../scan-words.ts";
import type { Webhook, WebhookOptions } from "../store/webhooks.ts";
import type { WebhookFilter } from "../webhook-filter.ts";
import { HIDDEN_VALUE, headersProblem, revealed, type WebhookHeaders } from "../webhook-headers.ts";
import { MAX_CHARACTERS } from "./finish-document.ts";
import { oneOf } from "./one-of.ts";

/** The fields of a webhook that may be left out, and taken off with null: as they are sent, checked and shown. */

const MAX_NAME_LENGTH = 100;
const MAX_DOMAINS = 50;
const MAX_RATE = 600_000;
const CHATS = `${CHAT_FORMATS.slice(0, -1).join(", ")} and ${CHAT_FORMATS.at(-1)}`;

const orNull = <
  Schema extends ReturnType<typeof t.String | typeof t.Number | typeof t.Boolean | typeof t.Object>,
>(
  schema: Schema,
) => t.Optional(t.Union([schema, t.Null()]));

export const optionFields = {
  name: orNull(
    t.String({
      minLength: 1,
      pattern: "^[^\\u0000-\\u001f\\u007f-\\u009f]*$",
      [MAX_CHARACTERS]: MAX_NAME_LENGTH,
      description: "What people call it: 1 to 100 characters.",
      example: "security on call",
    }),
  ),
  filter: orNull(
    t.Object(
      {
        min_risk_score: t.Optional(t.Number({ minimum: 0, maximum: 100, example: 80 })),
        actions: t.Optional(t.Array(oneOf(ACTIONS), { minItems: 1, maxItems: 100, example: ["block"] })),
        domains: t.Optional(t.Array(t.String(), { minItems: 1, maxItems: MAX_DOMAINS, example: ["pii"] })),
      },
      {
        additionalProperties: false,
        description:
          "Only events that pass every part given get a delivery. A domain passes when one of the event's signals has it, compared without case.",
        example: { min_risk_score: 80, actions: ["block"] },
      },
    ),
  ),
  rate_limit_per_minute: orNull(
    t.Number({
      multipleOf: 1,
      minimum: 1,
      maximum: MAX_RATE,
      description:
        "Requests to this webhook a minute, spread evenly. Left out: what its format usually takes.",
      example: 60,
    }),
  ),
  group: orNull(
    t.Boolean({
      description: `Whether deliveries that wait may share one message; for the formats ${CHATS}, where it is the default.`,
      example: false,
    }),
  ),
  headers: orNull(
    t.Object(
      {},
      {
        additionalProperties: t.String({ pattern: "^[ -~]*$" }),
        maxProperties: 16,
        description: `Sent with every request, such as authorization: up to 16 names and values of printable ASCII, 4 KiB in all; none of host, connection, transfer-encoding, te, trailer, upgrade, expect, user-agent, content-*, webhook-*, proxy-*. Answers show "${HIDDEN_VALUE}" for each value; sent back, it keeps the value.`,
        example: { authorization: "Bearer s3cr3t" },
      },
    ),
  ),
};

export const OPTION_RULES = {
  name: "name must be a string of 1 to 100 characters, none of them a control character, or null",
  filter:
    "filter must be an object with min_risk_score, actions and domains, each of which may be left out, or null",
  rate_limit_per_minute: `rate_limit_per_minute must be a whole number from 1 to ${MAX_RATE}, or null`,
  group: "group must be true, false or null",
  headers: "headers must be an object of names and values, both strings, or null",
};

/** A field that was refused, looked at once more: what is wrong within it. */
export const OPTION_PROBLEMS: Readonly<Record<string, (value: unknown) => string | null>> = {
  filter: filterProblem,
  headers: (value) => (isHeaders(value) ? headersProblem(value) : null),
};

function filterProblem(value: unknown): string | null {
  if (typeof value !== "object" || value === null || Array.isArray(value)) return null;
  const { min_risk_score, actions, domains, ...others } = value as Record<string, unknown>;
  const unknown = Object.keys(others)[0];
  if (unknown !== undefined) {
    return /^[\w.-]{1,64}$/.test(unknown) ? `unknown field filter.${unknown}` : "unknown field in filter";
  }
  const isScore = (score: unknown) => typeof score === "number" && score >= 0 && score <= 100;
  if (min_risk_score !== undefined && !isScore(min_risk_score)) {
    return "filter.min_risk_score must be a number from 0 to 100";
  }
  if (
    actions !== undefined &&
    !isListOf(actions, 100, (one) => (ACTIONS as readonly unknown[]).includes(one))
  ) {
    return `filter.actions must be a non-empty list of ${ACTIONS.join(", ")}`;
  }
  if (domains !== undefined && !isListOf(domains, MAX_DOMAINS, (one) => typeof one === "string")) {
    return `filter.domains must be a list of 1 to ${MAX_DOMAINS} strings`;
  }
  return null;
}

function isListOf(value: unknown, most: number, is: (one: unknown) => boolean): boolean {
  return Array.isArray(value) && value.length >= 1 && value.length <= most && value.every(is);
}

function isHeaders(value: unknown): value is WebhookHeaders {
  return (
    typeof value === "object" &&
    value !== null &&
    Object.values(value).every((one) => typeof one === "string")
  );
}

export interface OptionsBody {
  name?: string | null;
  filter?: WebhookFilter | null;
  rate_limit_per_minute?: number | null;
  group?: boolean | null;
  headers?: WebhookHeaders | null;
}

/** The options of a body as the store takes them, but for headers. Throws AppError. */
export function readOptions({
  name,
  filter,
  rate_limit_per_minute,
  group,
}: OptionsBody): Partial<WebhookOptions> {
  if (typeof name === "string") checkName(name);
  return {
    ...(name !== undefined && { name }),
    ...(filter !== undefined && { filter: filter && withoutRepeats(filter) }),
    ...(rate_limit_per_minute !== undefined && { rateLimitPerMinute: rate_limit_per_minute }),
    ...(group !== undefined && { group }),
  };
}

function checkName(name: string): void {
  if ([...name].length > MAX_NAME_LENGTH || !name.isWellFormed()) throw invalid(OPTION_RULES.name);
}

function withoutRepeats({ actions, domains, ...rest }: WebhookFilter): WebhookFilter {
  return {
    ...rest,
    ...(actions && { actions: [...new Set(actions)] }),
    ...(domains && { domains: [...new Set(domains)] }),
  };
}

/** The header fields of a body where a webhook has `present`. Throws AppError. */
export function readHeaders(headers: WebhookHeaders | null, present: WebhookHeaders): WebhookHeaders {
  const next = headers ?? {};
  const kept = revealed(next, present);
  const problem = headersProblem(next) ?? (typeof kept === "string" ? null : headersProblem(kept));
  if (problem) throw invalid(problem);
  if (typeof kept !== "string") return kept;
  throw invalid(`headers.${kept} is "${HIDDEN_VALUE}", which keeps a value that is there; there is none`);
}

/** Throws AppError where an option does not go with the webhook's format. */
export function checkGroup({ group, format }: Pick<Webhook, "group" | "format">): void {
  if (group === null || isGroupable(format)) return;
  throw invalid(`group is for the formats ${CHATS} only; leave it out, or set it to null`);
}

function invalid(message: string): AppError {
  return new AppError("VALIDATION_ERROR", message);
}
