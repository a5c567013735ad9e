import { afterEach, beforeEach, describe, expect, test } from "bun:test";
import { createSecretBox, type SecretBox } from "../../../src/secrets/secret-box.ts";
import { createRotatedSecrets, type RotatedSecrets } from "../../../src/store/sqlite/rotated-secrets.ts";
import type { SqliteStore } from "../../../src/store/sqlite/store.ts";
import type { Webhook } from "../../../src/store/webhooks.ts";
import { newDir, removeDir } from "../../support/daemon.ts";
import { addOrganization, addWebhook, openTestStore } from "../seed.ts";

let dir: string;
let store: SqliteStore;
let box: SecretBox;
let rotated: RotatedSecrets;
let webhook: Webhook;
let other: Webhook;

beforeEach(async () => {
  dir = newDir();
  store = openTestStore(dir);
  box = createSecretBox(Buffer.alloc(32, 1));
  rotated = createRotatedSecrets(store.database.orm, () => box);
  const organizationId = await addOrganization(store);
  webhook = await addWebhook(store, organizationId);
  other = await addWebhook(store, organizationId);
});
afterEach(async () => {
  await store.close();
  removeDir(dir);
});

const keep = (of: Webhook, secret: string, expiresAt: number) =>
  rotated.keep(of, box.seal(secret, of.uuid), expiresAt);
const running = (of: Webhook, now: number) => rotated.running(of, now).map(({ secret }) => secret);

describe("the secrets that a webhook had before", () => {
  test("count until their time has come, the latest first, each for its own webhook", () => {
    keep(webhook, "first", 100);
    keep(webhook, "second", 200);
    keep(other, "another's", 300);
    expect(rotated.running(webhook, 99)).toEqual([
      { secret: "second", expiresAt: 200 },
      { secret: "first", expiresAt: 100 },
    ]);
    expect([running(webhook, 100), running(webhook, 200)]).toEqual([["second"], []]);
    expect(running(other, 299)).toEqual(["another's"]);
  });

  test("are forgotten once they no longer count, those of the others stay", () => {
    keep(webhook, "first", 100);
    keep(webhook, "second", 101);
    keep(other, "another's", 100);
    rotated.forgetExpired(webhook, 100);
    expect([running(webhook, 0), running(other, 0)]).toEqual([["second"], ["another's"]]);
  });

  test("are forgotten with their webhook, whether or not they count", () => {
    keep(webhook, "first", 100);
    keep(webhook, "second", 200);
    keep(other, "another's", 100);
    rotated.forgetAll(webhook);
    expect([running(webhook, 0), running(other, 0)]).toEqual([[], ["another's"]]);
  });

  test("open with the next key alone once they are sealed anew, and keep their order and time", () => {
    keep(webhook, "first", 100);
    keep(webhook, "second", 200);
    keep(other, "another's", 100);
    const present = box;
    const next = createSecretBox(Buffer.alloc(32, 2));
    rotated.reseal(webhook, present, next);
    expect(() => rotated.running(webhook, 0)).toThrow("sealed with another secret key");
    expect(running(other, 0)).toEqual(["another's"]);
    // The box is asked for at each look, as the installation's key is loaded after the store was opened.
    box = next;
    expect(rotated.running(webhook, 0)).toEqual([
      { secret: "second", expiresAt: 200 },
      { secret: "first", expiresAt: 100 },
    ]);
  });
});
