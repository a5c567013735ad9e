import { afterAll, beforeAll, expect, test } from "bun:test";
import { join } from "node:path";
import { idAt } from "../../../src/ids.ts";
import type { DeliveryStatus } from "../../../src/outcomes.ts";
import type { DeliveryPage } from "../../../src/store/history.ts";
import type { SqliteStore } from "../../../src/store/sqlite/store.ts";
import { newDir, removeDir } from "../../support/daemon.ts";
import { addOrganization, addWebhook, openTestStore, seed } from "../seed.ts";

let dir: string;
let store: SqliteStore;
let organizationId: number;

beforeAll(async () => {
  dir = newDir();
  store = openTestStore(join(dir, "data"));
  organizationId = await addOrganization(store);
});
afterAll(async () => {
  await store.close();
  removeDir(dir);
});

const START = Date.UTC(2026, 0, 1);
/** Each test has a stretch of time of its own, as ids are made of it. */
let stretch = 0;
function place(): number {
  stretch += 1;
  return START + stretch * 86_400_000 * 6;
}

function idsOf(rows: readonly { id: number }[]): number[] {
  return rows.map(({ id }) => id);
}

/** Every page of a webhook's log, with `between` called after each. */
async function readPages(
  webhookId: number,
  status: DeliveryStatus | null,
  limit: number,
  between = (): void => {},
): Promise<number[]> {
  const read: number[] = [];
  for (let beforeId: number | null = null; ; ) {
    const page: DeliveryPage = await store.history.list({ webhookId, status, beforeId, limit });
    const { nextBeforeId } = page;
    read.push(...idsOf(page.deliveries));
    if (nextBeforeId === null) return read;
    beforeId = nextBeforeId;
    between();
  }
}

/** Generous, for slow and busy machines; the limit itself holds for the median. */
const SLOW_MACHINE = 5;

test("among a million deliveries, the median page takes under 20 ms, wherever it is and whatever the filter", async () => {
  const { id: webhookId } = await addWebhook(store, organizationId);
  const at = place();
  const count = 1_000_000;
  // Mostly delivered, with failures far apart: the worst case for a filter without an index.
  seed(store, { webhookId, organizationId, count, at, status: "delivered" });
  store.database.sqlite.exec(
    `UPDATE deliveries SET status = 2 WHERE webhook_id = ${webhookId} AND (id - 1 - ${idAt(at)}) / 4096 % 100000 = 0`,
  );
  const positions = Array.from({ length: 20 }, (_, i) => idAt(at + (count / 20) * (i + 1)));
  for (const status of [null, "delivered", "failed", "pending"] as const) {
    const times: number[] = [];
    for (const beforeId of positions) {
      const started = performance.now();
      const { deliveries } = await store.history.list({ webhookId, status, beforeId, limit: 101 });
      expect(deliveries.length > 0).toBe(status !== "pending");
      times.push(performance.now() - started);
    }
    expect(median(times)).toBeLessThan(20);
    expect(Math.max(...times)).toBeLessThan(20 * SLOW_MACHINE);
  }
  expect(await readPages(webhookId, "failed", 3)).toHaveLength(10);
}, 20_000);

test("a few delivered ones behind many failed ones are all found, the median step in under 20 ms", async () => {
  const { id: webhookId } = await addWebhook(store, organizationId);
  const at = place();
  seed(store, { webhookId, organizationId, count: 3, at, status: "delivered" });
  seed(store, { webhookId, organizationId, count: 45_000, at: at + 1_000, status: "failed" });
  const times: number[] = [];
  const note = (): void => {
    times.push(performance.now());
  };
  note();
  expect(await readPages(webhookId, "delivered", 2, note)).toEqual([2, 1, 0].map((i) => idAt(at + i) + 1));
  expect(times.length).toBeGreaterThan(4);
  expect(median(times.slice(1).map((time, i) => time - (times[i] as number)))).toBeLessThan(20);
});

function median(times: number[]): number {
  return times.toSorted((a, b) => a - b)[Math.floor(times.length / 2)] as number;
}
