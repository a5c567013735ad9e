import { t } from "elysia";
import { CHAT_FORMATS, WEBHOOK_FORMATS } from "../formats.ts";
import { DELIVERY_STATUSES } from "../outcomes.ts";
import { EVENT_TYPES_BY_GRAVITY, MAX_EXTERNAL_ID, TIERS_BY_GRAVITY } from "../scan-words.ts";
import { DOCUMENTED, MAX_CHARACTERS } from "./finish-document.ts";
import { oneOf } from "./one-of.ts";
import { OPTION_RULES, optionFields } from "./webhook-options.ts";
import { URL_NEEDS } from "./webhook-url.ts";

/** What each field must be, as the error message says it. */
export const FIELD_RULES: Readonly<Record<string, string>> = {
  url: "url must be a string of 1 to 2048 characters",
  events: `events must be a non-empty list of ${EVENT_TYPES_BY_GRAVITY.join(", ")}`,
  format: `format must be one of ${WEBHOOK_FORMATS.join(", ")}`,
  enabled: "enabled must be true or false",
  status: `status must be one of ${DELIVERY_STATUSES.join(", ")}`,
  limit: "limit must be a whole number from 1 to 100",
  tier: `tier must be one of ${TIERS_BY_GRAVITY.join(", ")}`,
  external_id: `external_id must be a string of 1 to ${MAX_EXTERNAL_ID} characters`,
  webhook_id: "webhook_id must be the id of a webhook",
  minutes: "minutes must be a whole number from 1 to 1440",
  cursor: "cursor must be the next_cursor of an earlier answer",
  since: "since must be an ISO 8601 date and time with a zone, such as 2026-01-15T10:00:00Z",
  until: "until must be an ISO 8601 date and time with a zone, such as 2026-01-15T10:00:00Z",
  ...OPTION_RULES,
  overlap_seconds: "overlap_seconds must be a whole number from 0 to 604800",
};

const strict = { additionalProperties: false } as const;

/** Values that are certainly taken: names of hosts rather than addresses, which the target guard may refuse. */
const HTTPS_URL = {
  format: "uri",
  pattern:
    "^https://([a-z0-9]([a-z0-9-]{0,30}[a-z0-9])?[.]){1,3}[a-z]{2,6}(:[1-9][0-9]{0,3})?(/[A-Za-z0-9._~/-]*)?([?][A-Za-z0-9._~=&-]*)?$",
};
const TIME = { format: "date-time", minLength: 1 };
const UUID = { format: "uuid" };
const CURSOR = { pattern: "^[0-9a-f]{8}-[0-9a-f]{4}-7[0-9a-f]{3}-[0-9a-f]{4}-[0-9a-f]{12}$" };
/** Numbers come as texts, as all of a query does. */
const wholeNumber = (maximum: number, example: number) => ({
  type: "integer",
  minimum: 1,
  maximum,
  pattern: undefined,
  example,
});

/** `required`: the fields that a webhook must be given to be of a format that needs something in its URL. */
const urlRule = (required: string[]) => ({
  anyOf: [
    { properties: { format: { enum: WEBHOOK_FORMATS.filter((format) => URL_NEEDS[format] === null) } } },
    ...WEBHOOK_FORMATS.flatMap((format) => {
      const need = URL_NEEDS[format];
      return need
        ? [{ properties: { format: { enum: [format] }, url: { pattern: need.pattern } }, required }]
        : [];
    }),
  ],
});
const GROUP_RULE = {
  anyOf: [
    { properties: { group: { nullable: true, enum: [null] } } },
    { properties: { format: { enum: [...CHAT_FORMATS] } }, required: ["format"] },
  ],
};
/** What fields ask of each other. A webhook that is changed has a URL and a format already, which the document cannot know of. */
const CREATE_RULES = { allOf: [urlRule(["format"]), GROUP_RULE] };
const UPDATE_RULES = { allOf: [urlRule(["format", "url"]), GROUP_RULE] };

const url = t.String({
  minLength: 1,
  maxLength: 2048,
  [DOCUMENTED]: HTTPS_URL,
  description:
    "The HTTPS URL to receive webhook POST requests: absolute, at most 2048 characters, without user info, fragment and port 0. The format pagerduty needs one query parameter routing_key of 32 characters.",
  example: "https://hooks.slack.com/services/T.../B.../xxx",
});
const events = t.Array(oneOf(EVENT_TYPES_BY_GRAVITY), {
  minItems: 1,
  description: 'Event types to subscribe to. Defaults to ["red_tier"]. Repeats collapse.',
  example: ["red_tier"],
});
const format = oneOf(WEBHOOK_FORMATS, {
  description:
    'Payload format. Defaults to "json", the documented payload. The others carry the same event as a message for Slack, Microsoft Teams, Discord or PagerDuty.',
  example: "json",
});
const enabled = t.Boolean({
  description: "Enable or disable the webhook. Enabling a disabled one sets failure_count to 0.",
  example: true,
});

export const createWebhookBody = t.Object(
  { url, events: t.Optional(events), format: t.Optional(format), ...optionFields },
  {
    ...strict,
    [DOCUMENTED]: CREATE_RULES,
    example: { url: "https://hooks.slack.com/services/T.../B.../xxx", events: ["red_tier"], format: "json" },
  },
);

export const updateWebhookBody = t.Object(
  {
    url: t.Optional(url),
    events: t.Optional(events),
    format: t.Optional(format),
    enabled: t.Optional(enabled),
    ...optionFields,
  },
  {
    ...strict,
    [DOCUMENTED]: UPDATE_RULES,
    example: { events: ["red_tier", "yellow_tier"], enabled: true },
  },
);

export const recoverBody = t.Object(
  {
    since: t.String({
      [DOCUMENTED]: TIME,
      description: "Events received at this time or later: an ISO 8601 date and time with a zone.",
      example: "2026-01-15T10:00:00Z",
    }),
    until: t.Optional(
      t.String({
        [DOCUMENTED]: TIME,
        description: "Events received up to this time, which is not before since. Defaults to now.",
        example: "2026-01-15T12:00:00Z",
      }),
    ),
  },
  { ...strict, example: { since: "2026-01-15T10:00:00Z" } },
);

export const rotateSecretBody = t.Object(
  {
    overlap_seconds: t.Optional(
      // Elysia's own Integer would also take a string.
      t.Number({
        multipleOf: 1,
        minimum: 0,
        maximum: 604_800,
        description: "For how long requests are signed with the old secret too. Defaults to 86400 (a day).",
        example: 86_400,
      }),
    ),
  },
  { ...strict, example: { overlap_seconds: 86_400 } },
);

export const idParams = t.Object({
  id: t.String({
    [DOCUMENTED]: UUID,
    description: "The webhook ID.",
    example: "0b3b3f4e-6f0a-4c53-9a2e-5d2d4d8f5c11",
  }),
});

export const deliveryParams = t.Object({
  id: t.String({
    [DOCUMENTED]: UUID,
    description: "The delivery ID.",
    example: "019bc0f6-5c00-7000-9d3a-52c8f1d7a460",
  }),
});

export const eventParams = t.Object({
  id: t.String({
    [DOCUMENTED]: UUID,
    description: "The event ID.",
    example: "019bc0f6-5bff-7000-9d3a-52c8f1d7a460",
  }),
});

/** Entries of a page where the query names no limit. */
export const DEFAULT_LIMIT = 50;
const limit = t.String({
  [DOCUMENTED]: wholeNumber(100, 50),
  pattern: "^([1-9][0-9]?|100)$",
  description: "1 to 100, default 50.",
  example: "50",
});
const cursor = t.String({
  [DOCUMENTED]: CURSOR,
  description: "The next_cursor of the page before.",
  example: "019bc0f6-5c00-7000-9d3a-52c8f1d7a460",
});

export const deliveriesQuery = t.Object(
  {
    status: t.Optional(
      oneOf(DELIVERY_STATUSES, { description: "Only deliveries in this state.", example: "failed" }),
    ),
    limit: t.Optional(limit),
    cursor: t.Optional(cursor),
  },
  strict,
);

export const eventsQuery = t.Object(
  {
    tier: t.Optional(
      oneOf(TIERS_BY_GRAVITY, {
        description: "Only events of this tier.",
        example: "red",
      }),
    ),
    external_id: t.Optional(
      t.String({
        minLength: 1,
        [MAX_CHARACTERS]: MAX_EXTERNAL_ID,
        description: "Only the event that the scanner gave this id.",
        example: "scan-42",
      }),
    ),
    limit: t.Optional(limit),
    cursor: t.Optional(cursor),
  },
  strict,
);

export const statisticsQuery = t.Object(
  {
    webhook_id: t.Optional(
      t.String({
        [DOCUMENTED]: UUID,
        description: "Only this webhook; left out: all of the organization's.",
        example: "0b3b3f4e-6f0a-4c53-9a2e-5d2d4d8f5c11",
      }),
    ),
    minutes: t.Optional(
      t.String({
        [DOCUMENTED]: wholeNumber(1440, 60),
        pattern: "^([1-9][0-9]{0,2}|1[0-3][0-9]{2}|14[0-3][0-9]|1440)$",
        description: "How far back, 1 to 1440; default 60.",
        example: "60",
      }),
    ),
  },
  strict,
);
