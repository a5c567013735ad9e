import { afterEach, describe, expect, test } from "bun:test";
import { existsSync } from "node:fs";
import { join } from "node:path";
import { formatAge } from "../../src/cli/status-print.ts";
import type { SqliteStore } from "../../src/store/sqlite/store.ts";
import { addOrganization, addWebhook, openTestStore, seed } from "../store/seed.ts";
import {
  connectScanner,
  LOOPBACK,
  newDir,
  removeDir,
  runCommand,
  scan,
  startDaemon,
  until,
} from "../support/daemon.ts";
import { startReceiver } from "../support/receiver.ts";

const dirs: string[] = [];
afterEach(() => dirs.splice(0).forEach(removeDir));

/** A data directory that `prepare` has filled, without a daemon. */
async function dataDirWith(prepare: (store: SqliteStore) => Promise<void>): Promise<string> {
  const dir = newDir();
  dirs.push(dir);
  const dataDir = join(dir, "data");
  const store = openTestStore(dataDir);
  await prepare(store);
  await store.close();
  return dataDir;
}

async function status(dataDir: string) {
  const { stdout, stderr, code } = await runCommand(["status", "--data-dir", dataDir, "--json"]);
  expect(stderr).toBe("");
  return { code, body: JSON.parse(stdout) };
}

const HOUR = 3_600_000;

describe("armorhooks status", () => {
  test("a webhook whose receiver has asked to wait is waiting, not failing, and all is well", async () => {
    const busy = startReceiver(() => new Response(null, { status: 429, headers: { "retry-after": "600" } }));
    const daemon = await startDaemon({ args: LOOPBACK });
    dirs.push(daemon.dir);
    await daemon.api("POST", "/v1/webhooks", { url: busy.url });
    const scanner = await connectScanner(daemon.socket);
    await scanner.send(scan());
    await until("it was put off", async () => (await status(daemon.dataDir)).body.webhooks.waiting === 1);
    const { code, body } = await status(daemon.dataDir);
    expect(code).toBe(0);
    expect(body).toMatchObject({
      ok: true,
      webhooks: { failing: 0, waiting: 1 },
      attention: [{ state: "waiting", failure_count: 0, pending: 1 }],
    });
    const wait = Date.parse(body.attention[0].waiting_until) - Date.now();
    expect(wait).toBeWithin(580_000, 601_000);
    const metrics = await (await fetch(`${daemon.url}/metrics`)).text();
    expect(metrics).toContain("\narmorhooks_webhooks_waiting 1\n");
    scanner.close();
    await daemon.stop();
    await busy.stop();
  });

  test("tells of a running daemon what it delivers and what it does not", async () => {
    const good = startReceiver();
    const bad = startReceiver(() => new Response("no", { status: 500 }));
    const daemon = await startDaemon({ args: [...LOOPBACK, "--retry-min-delay", "60s"] });
    dirs.push(daemon.dir);
    await daemon.api("POST", "/v1/webhooks", { url: good.url });
    const failing = (await daemon.api("POST", "/v1/webhooks", { url: `${bad.url}/secret-path` })).body.webhook
      .id;
    const scanner = await connectScanner(daemon.socket);
    await scanner.send(scan());
    await until("both were tried", async () => (await status(daemon.dataDir)).body.last_hour.attempts === 2);

    const { code, body } = await status(daemon.dataDir);
    expect(code).toBe(1);
    expect(body).toStrictEqual({
      ok: false,
      version: expect.any(String),
      data_dir: daemon.dataDir,
      daemon_running: true,
      webhooks: { total: 2, enabled: 2, failing: 1, waiting: 0, disabled: 0 },
      pending: { deliveries: 1, oldest_seconds: expect.any(Number) },
      last_hour: { attempts: 2, succeeded: 1, failed: 1, errors: { http_status: 1 } },
      attention: [
        {
          id: failing,
          organization_id: daemon.organizationId,
          organization_name: "default",
          host: `127.0.0.1:${bad.port}`,
          state: "failing",
          disabled_reason: null,
          failure_count: 1,
          pending: 1,
          last_triggered_at: expect.any(String),
          why: "answered 500",
          waiting_until: null,
        },
      ],
    });
    const text = (await runCommand(["status", "--data-dir", daemon.dataDir])).stdout;
    expect(text).toMatch(/daemon +running/);
    expect(text).toContain(failing);
    expect(text).not.toContain("secret-path");
    expect(text).not.toContain("\u001b");
    scanner.close();
    await daemon.stop();
    expect((await status(daemon.dataDir)).body.daemon_running).toBe(false);
    await Promise.all([good.stop(), bad.stop()]);
  }, 15_000);

  test("says in a few words why a webhook's latest attempt failed, also when the webhook is off by now", async () => {
    const dataDir = await dataDirWith(async (store) => {
      const organizationId = await addOrganization(store);
      const at = store.clock.schedule() - 1_000;
      const { id: webhookId } = await addWebhook(store, organizationId);
      await seed(store, { webhookId, organizationId, count: 3, at, status: "failed" });
      // The later two were ended with the webhook, without an attempt of their own.
      const set = (fields: string, where: string) =>
        store.database.sqlite.exec(
          `UPDATE deliveries SET ${fields} WHERE id ${where} (SELECT min(id) FROM deliveries)`,
        );
      set("last_status = NULL, last_error = 'tls_failed', last_detail = 'certificate has expired'", "=");
      set("last_error = 'webhook_disabled', last_started_at = NULL", ">");
      store.database.sqlite.exec(`UPDATE webhooks SET enabled = 0, disabled_reason = 'attempts_exhausted'`);
    });
    expect((await status(dataDir)).body.attention[0].why).toBe("certificate has expired");
    const { stdout } = await runCommand(["status", "--data-dir", dataDir]);
    expect(stdout).toContain("certificate has expired");
  });

  test("ends with 0 when all is well, a webhook that its owner switched off included", async () => {
    const dataDir = await dataDirWith(async (store) => {
      const organization = await addOrganization(store);
      const { uuid } = await addWebhook(store, organization);
      await store.webhooks.update(organization, uuid, { enabled: false });
    });
    const { code, body } = await status(dataDir);
    expect(code).toBe(0);
    expect(body.webhooks).toEqual({ total: 1, enabled: 0, failing: 0, waiting: 0, disabled: 1 });
    expect(body.attention[0].disabled_reason).toBe("owner");
  });

  test("ends with 1 when the daemon disabled a webhook", async () => {
    const dataDir = await dataDirWith(async (store) => {
      const { id } = await addWebhook(store, await addOrganization(store));
      store.database.sqlite.exec(
        `UPDATE webhooks SET enabled = 0, disabled_reason = 'gone' WHERE id = ${id}`,
      );
    });
    const { code, body } = await status(dataDir);
    expect(code).toBe(1);
    expect(body.attention[0]).toMatchObject({ state: "disabled", disabled_reason: "gone" });
  });

  test("ends with 1 when a delivery has been pending for over an hour", async () => {
    const pendingSince = (age: number) => async (store: SqliteStore) => {
      const organizationId = await addOrganization(store);
      const { id: webhookId } = await addWebhook(store, organizationId);
      const at = store.clock.schedule() - age;
      seed(store, { webhookId, organizationId, count: 1, at, status: "pending" });
    };
    const late = await status(await dataDirWith(pendingSince(HOUR + 60_000)));
    expect(late.code).toBe(1);
    expect(late.body.pending.oldest_seconds).toBeWithin(3_660, 3_690);
    expect((await status(await dataDirWith(pendingSince(HOUR - 60_000)))).code).toBe(0);
  });

  test("counts attempts of the last hour, those for older deliveries too", async () => {
    const dataDir = await dataDirWith(async (store) => {
      const organizationId = await addOrganization(store);
      const { id: webhookId } = await addWebhook(store, organizationId);
      const now = store.clock.schedule();
      for (const [age, n] of [
        [HOUR / 2, 3],
        [2 * HOUR, 5],
      ] as const) {
        seed(store, { webhookId, organizationId, count: n, at: now - age, status: "delivered" });
      }
      // Two of the old ones were delivered only now.
      store.database.sqlite.exec(
        `UPDATE deliveries SET finished_at = ${now}, last_started_at = ${now} WHERE id IN (SELECT id FROM deliveries ORDER BY id LIMIT 2)`,
      );
    });
    expect((await status(dataDir)).body.last_hour).toEqual({
      attempts: 5,
      succeeded: 5,
      failed: 0,
      errors: {},
    });
  });

  test("refuses a directory without a database, and makes none", async () => {
    const dir = newDir();
    dirs.push(dir);
    const { code, stderr } = await runCommand(["status", "--data-dir", join(dir, "nothing")]);
    expect(code).toBe(1);
    expect(stderr).toMatch(/there is no database .*nothing\/armorhooks\.db/);
    expect(existsSync(join(dir, "nothing"))).toBe(false);
  });
});

test.each([
  [0, "0 s"],
  [59, "59 s"],
  [61, "1 min"],
  [3 * 3600 + 5 * 60, "3 h 5 min"],
  [99 * 3600, "4 d 3 h"],
])("an age of %d seconds reads %s", (seconds, text) => {
  expect(formatAge(seconds)).toBe(text);
});
