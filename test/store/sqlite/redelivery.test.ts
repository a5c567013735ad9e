import { expect, test } from "bun:test";
import { join } from "node:path";
import type { RecoverOptions } from "../../../src/store/sqlite/redelivery.ts";
import { newDir, removeDir } from "../../support/daemon.ts";
import { addOrganization, addWebhook, openTestStore, seed } from "../seed.ts";

test("a recovery ends when the webhook is deleted in between", async () => {
  const dir = newDir();
  const store = openTestStore(join(dir, "data"));
  const organizationId = await addOrganization(store);
  const { id: webhookId, uuid } = await addWebhook(store, organizationId);
  const at = Date.UTC(2026, 0, 1);
  seed(store, { webhookId, organizationId, count: 1_500, at, status: "failed" });
  const options: RecoverOptions = {
    webhookId,
    range: { since: at, until: at + 10_000 },
    fromId: null,
    dueAt: store.clock.schedule(),
    now: store.clock.wall(),
  };
  const { recovered, nextFromId } = store.redelivery.recoverStep(options);
  expect(recovered).toBe(500);
  await store.webhooks.remove(organizationId, uuid);
  expect(store.redelivery.recoverStep({ ...options, fromId: nextFromId })).toEqual({
    recovered: 0,
    nextFromId: null,
  });
  await store.close();
  removeDir(dir);
});
