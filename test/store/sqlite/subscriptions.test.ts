import { afterEach, beforeEach, describe, expect, test } from "bun:test";
import { EVENT_TYPES, type EventType } from "../../../src/scan-words.ts";
import type { SqliteStore } from "../../../src/store/sqlite/store.ts";
import type { NewWebhook, Webhook } from "../../../src/store/webhooks.ts";
import { newDir, removeDir } from "../../support/daemon.ts";
import { addOrganization, BODY, openTestStore } from "../seed.ts";

let dir: string;
let store: SqliteStore;
let organizationId: number;

beforeEach(async () => {
  dir = newDir();
  store = openTestStore(dir);
  organizationId = await addOrganization(store);
});
afterEach(async () => {
  await store.close();
  removeDir(dir);
});

async function add(fields: Partial<NewWebhook> = {}): Promise<Webhook> {
  const made = await store.webhooks.create(
    { organizationId, url: "https://hooks.example.com", events: ["red_tier"], format: "json", ...fields },
    Number.POSITIVE_INFINITY,
  );
  return (made as NonNullable<typeof made>).webhook;
}

const subscribers = (type: EventType = "red_tier", of = organizationId, body = BODY): readonly number[] =>
  store.webhooks.subscribers(of, EVENT_TYPES.indexOf(type), body);

describe("who gets an event", () => {
  test("is known from memory, and anew with every change of a webhook", async () => {
    expect(subscribers()).toEqual([]);
    const one = await add();
    expect(subscribers()).toEqual([one.id]);
    const two = await add();
    expect(subscribers()).toEqual([one.id, two.id]);
    expect(subscribers()).toBe(subscribers());
    await store.webhooks.update(organizationId, one.uuid, { enabled: false });
    expect(subscribers()).toEqual([two.id]);
    await store.webhooks.update(organizationId, one.uuid, { enabled: true });
    expect(subscribers()).toEqual([one.id, two.id]);
    await store.webhooks.update(organizationId, two.uuid, { events: ["green_tier"] });
    expect([subscribers(), subscribers("green_tier")]).toEqual([[one.id], [two.id]]);
    await store.webhooks.remove(organizationId, one.uuid);
    expect(subscribers()).toEqual([]);
  });

  test("is no webhook that was given up with an attempt", async () => {
    const one = await add();
    expect(subscribers()).toEqual([one.id]);
    const change = {
      webhookId: one.id,
      url: one.url,
      succeeded: false,
      failures: 1,
      lastTriggeredAt: 1,
      lastSuccessAt: null,
      pausedUntil: null,
      disabledReason: "gone" as const,
    };
    await store.deliveryQueue.record([], [change]);
    expect(subscribers()).toEqual([]);
  });

  test("is not looked up again when another organization's webhooks change", async () => {
    await add();
    const before = subscribers();
    const other = await addOrganization(store);
    const theirs = await add({ organizationId: other });
    expect(subscribers()).toBe(before);
    expect(subscribers("red_tier", other)).toEqual([theirs.id]);
  });

  test("is nobody of another organization, nor who filters it out", async () => {
    const other = await addOrganization(store);
    const theirs = await add({ organizationId: other });
    const picky = await add({ filter: { min_risk_score: 90 } });
    const open = await add();
    expect([subscribers(), subscribers("red_tier", other)]).toEqual([[open.id], [theirs.id]]);
    const severe = BODY.replace('"risk_score":85', '"risk_score":95');
    expect(subscribers("red_tier", organizationId, severe)).toEqual([picky.id, open.id]);
  });
});
