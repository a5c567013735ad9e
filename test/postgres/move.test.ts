import { afterAll, afterEach, beforeAll, describe, expect, test } from "bun:test";
import { join } from "node:path";
import { connectScanner, scan, until } from "../support/daemon.ts";
import {
  cleanUp,
  command,
  deliveriesOf,
  emptyDir,
  receive,
  register,
  startBinary,
  verify,
} from "../support/e2e.ts";
import { type Cluster, hasPostgres, startCluster } from "../support/postgres.ts";
import type { Received } from "../support/receiver.ts";

let cluster: Cluster;

const idOf = ({ headers }: Received): string => headers["webhook-id"] as string;

describe.if(hasPostgres())("armorhooks move", () => {
  beforeAll(async () => {
    cluster = await startCluster();
  }, 30_000);
  afterEach(cleanUp);
  afterAll(() => cluster.remove());

  test("takes everything there; what is pending goes on where it was, and nobody starts on the directory", async () => {
    const dir = emptyDir();
    const before = await startBinary({ dir, args: ["--retry-min-delay", "30s"] });
    const good = receive();
    let answer = 500;
    const failing = receive(() => new Response(null, { status: answer }));
    const first = await register(before, good.url);
    const second = await register(before, failing.url);
    const rotated = await before.api("POST", `/v1/webhooks/${second.id}/rotate-secret`, {});
    const scanner = await connectScanner(before.socket);
    const acks = await scanner.send(
      ...Array.from({ length: 30 }, (_, i) => scan({ id: `scan-${i}`, latency_ms: i })),
    );
    scanner.close();
    const isTried = async () =>
      (await deliveriesOf(before, second.id)).some(({ attempt_count }) => attempt_count > 0) &&
      (await deliveriesOf(before, first.id)).every(({ status }) => status === "delivered");
    await until("some have failed, and the others are delivered", isTried);
    const history = await deliveriesOf(before, first.id);
    expect(await before.stop()).toBe(0);

    const url = await cluster.database();
    const dataDir = join(dir, "data");
    const moved = await command(["move", "--to", url, "--data-dir", dataDir, "--json"], { cwd: dir });
    expect([moved.code, moved.stderr]).toEqual([0, ""]);
    expect(JSON.parse(moved.stdout)).toMatchObject({ webhooks: 2, events: 30, pending: 30, finished: 30 });
    const again = await command(["move", "--to", url, "--data-dir", dataDir], { cwd: dir });
    expect([again.code, again.stderr]).toEqual([1, expect.stringContaining("moved")]);
    const mistaken = await command(["serve", "--port", "0", "--data-dir", dataDir], { cwd: dir });
    expect([mistaken.code, mistaken.stderr]).toEqual([
      1,
      expect.stringContaining("was moved to postgres://"),
    ]);

    answer = 200;
    failing.received.length = 0;
    const after = await startBinary({
      args: ["--database", url, "--secret-key-file", join(dataDir, "secret.key"), "--retry-min-delay", "30s"],
      key: before.key,
      organizationId: before.organizationId,
    });
    expect(await deliveriesOf(after, first.id)).toEqual(history);
    for (const { id } of await deliveriesOf(after, second.id))
      await after.api("POST", `/v1/deliveries/${id}/retry`);
    const ids = new Set(acks.map(({ id }) => id));
    await until(
      "what was pending arrives",
      () => new Set(failing.received.map(idOf)).size === ids.size,
      20_000,
    );
    expect(new Set(failing.received.map(idOf))).toEqual(ids as Set<string>);
    for (const request of failing.received) {
      // Both secrets of the rotation still count.
      verify(second, request);
      verify({ ...second, secret: rotated.body.webhook.secret }, request);
    }
    const scannerAfter = await connectScanner(after.socket);
    expect(await scannerAfter.send(scan({ id: "scan-3" }))).toMatchObject([
      { duplicate: true, id: acks[3]?.id },
    ]);
    scannerAfter.close();
    expect(good.received).toHaveLength(30);
  }, 60_000);
});
