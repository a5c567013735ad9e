import { expect, test } from "bun:test";
import { createClaims } from "../../../src/store/sqlite/claims.ts";
import { createDeliveryQueue } from "../../../src/store/sqlite/delivery-queue.ts";
import { newDir, removeDir } from "../../support/daemon.ts";
import { append, attempt, claimAll, record } from "../conformance/deliveries.ts";
import { addOrganization, addWebhook } from "../conformance/harness.ts";
import { openTestStore } from "../seed.ts";

test("what was claimed before a read failed is found by the next claim", async () => {
  const dataDir = newDir();
  const store = openTestStore(dataDir, { resident: true });
  try {
    const organizationId = await addOrganization(store);
    const { id: webhookId } = await addWebhook(store, organizationId);
    await append(store, { organizationId, webhookIds: [webhookId] });
    const { fresh } = await claimAll(store, webhookId);
    const retried = fresh[0];
    if (!retried) throw new Error("nothing to claim");
    const nextAttemptAt = store.clock.schedule() - 10;
    await record(store, [attempt(store, retried, "pending", { nextAttemptAt })]);

    let isBroken = true;
    const queue = createDeliveryQueue(store.database, {
      deliveries: {
        ...store.deliveries,
        fresh(...request) {
          if (isBroken) throw new Error("disk I/O error");
          return store.deliveries.fresh(...request);
        },
      },
      redelivery: store.redelivery,
      claims: createClaims(),
      clock: store.clock,
      lastId: store.lastId,
      onDisabled: () => {},
    });
    const request = { webhookId, fresh: 5, again: 5, dueBy: store.clock.schedule(), triedBefore: Infinity };
    await expect(queue.claim(request)).rejects.toThrow("disk I/O error");
    isBroken = false;
    const { again } = await queue.claim(request);
    expect(again.map(({ id }) => id)).toEqual([retried.id]);
  } finally {
    await store.close();
    removeDir(dataDir);
  }
});
