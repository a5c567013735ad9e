import { expect, test } from "bun:test";
import type * as client from "../../src/client/index.ts";
import { WEBHOOK_FORMATS, type WebhookFormat } from "../../src/formats.ts";
import { DELIVERY_STATUSES, type DeliveryStatus, type DisabledReason } from "../../src/outcomes.ts";
import { ACTIONS, type Action, EVENT_TYPES, type EventType, TIERS, type Tier } from "../../src/scan-words.ts";
import type * as scanner from "../../src/scanner/index.ts";
import { read } from "../support/sources.ts";

/** A type that only holds the same words twice satisfies. */
type Same<Ours, Theirs> = [Ours, Theirs] extends [Theirs, Ours] ? true : false;

test("the clients spell the words of the API as the daemon does", () => {
  // `tsc` is the judge of these.
  const formats: Same<WebhookFormat, client.WebhookFormat> = true;
  const events: Same<EventType, client.WebhookEvent> = true;
  const statuses: Same<DeliveryStatus, client.DeliveryStatus> = true;
  const reasons: Same<
    Exclude<DisabledReason, "owner">,
    NonNullable<client.Webhook["disabled_reason"]>
  > = true;
  const actions: Same<Action, client.WebhookPayload["action"]> = true;
  const filters: Same<Action, NonNullable<client.WebhookFilter["actions"]>[number]> = true;
  const tiers: Same<Tier, client.WebhookPayload["tier"]> = true;
  const scanned: Same<[Tier, Action], [scanner.ScanEvent["tier"], scanner.ScanEvent["action"]]> = true;
  expect([formats, events, statuses, reasons, actions, filters, tiers, scanned]).not.toContain(false);
});

test.each<[string, readonly string[]]>([
  ["Format", WEBHOOK_FORMATS],
  ["EventType", EVENT_TYPES],
  ["DeliveryStatus", DELIVERY_STATUSES],
  ["Action", ACTIONS],
  ["Tier", TIERS],
])("the Python client's %s has the words of the API, and no others", (name, words) => {
  const models = read("clients/python/src/armorhooks/_models.py");
  const list = new RegExp(`^${name} = Literal\\[(.*)\\]$`, "m").exec(models)?.[1];
  expect(JSON.parse(`[${list}]`).sort()).toEqual(words.toSorted());
});
