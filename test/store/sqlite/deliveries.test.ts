import { expect, test } from "bun:test";
import { join } from "node:path";
import { newDir, removeDir } from "../../support/daemon.ts";
import { append, attempt, claimAll, record } from "../conformance/deliveries.ts";
import { addOrganization, addWebhook, openTestStore } from "../seed.ts";

test("an attempt and what it changes about its webhook are written together, or neither", async () => {
  const dir = newDir();
  const store = openTestStore(join(dir, "data"));
  const organizationId = await addOrganization(store);
  const { id: webhookId } = await addWebhook(store, organizationId);
  await append(store, { organizationId, webhookIds: [webhookId] });
  const { fresh } = await claimAll(store, webhookId);
  const results = fresh.map((delivery) => attempt(store, delivery, "delivered"));
  store.database.sqlite.exec(
    "CREATE TRIGGER no_change BEFORE UPDATE ON webhooks BEGIN SELECT raise(FAIL, 'not now'); END",
  );
  const written = async () => [
    (await store.history.get(organizationId, results[0]?.deliveryId as number))?.status,
    (await store.webhooks.all()).map(({ lastTriggeredAt }) => lastTriggeredAt !== null),
  ];
  await expect(record(store, results)).rejects.toThrow("not now");
  expect(await written()).toEqual(["pending", [false]]);
  store.database.sqlite.exec("DROP TRIGGER no_change");
  await record(store, results);
  expect(await written()).toEqual(["delivered", [true]]);
  await store.close();
  removeDir(dir);
});
