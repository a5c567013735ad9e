import { Database } from "bun:sqlite";
import { createHash } from "node:crypto";
import { cpSync, mkdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { createIdFormat, idAt, newInstallationTag } from "../../src/ids.ts";
import { createSecretBox } from "../../src/secrets/secret-box.ts";
import { MIGRATIONS, migrate } from "../../src/store/sqlite/migrations.ts";
import { runCommand } from "../support/daemon.ts";
import type { Receiver } from "../support/receiver.ts";
import { type Facts, known, noFacts, type Recording, record } from "./recording.ts";
import { changeWebhook, createWebhook, sendEvents, settle, watch } from "./work.ts";

export interface World {
  /** recorder.c, built. */
  library: string;
  receiver: Receiver;
}

/** The first start in a directory that is not there yet, all kinds of changes, an orderly end and a second start. */
export function recordFirst({ library, receiver }: World): Promise<Recording> {
  return record({
    name: "first starts",
    library,
    async work(recorder) {
      watch(recorder, receiver);
      const daemon = await recorder.start();
      const kept = await createWebhook(recorder, daemon, receiver.url);
      const gone = await createWebhook(recorder, daemon, receiver.url);
      await sendEvents(recorder, daemon, { events: 60, signals: 3, window: 4 });
      await changeWebhook(recorder, daemon, {
        id: kept,
        method: "PATCH",
        path: "",
        body: { events: ["red_tier", "yellow_tier"] },
      });
      await changeWebhook(recorder, daemon, {
        id: kept,
        method: "POST",
        path: "/rotate-secret",
        body: { overlap_seconds: 0 },
      });
      await changeWebhook(recorder, daemon, { id: gone, method: "DELETE", path: "" });
      await sendEvents(recorder, daemon, { events: 30, signals: 3, window: 1 });
      await settle(recorder);
      await daemon.stop();
      const next = await recorder.start();
      await sendEvents(recorder, next, { events: 10, signals: 3, window: 1 });
      await settle(recorder);
      await next.stop();
    },
  });
}

/** Events by the megabyte: the log is copied several times, by the thread and at the end, and begins anew. */
export function recordLife({ library, receiver }: World, first: Recording): Promise<Recording> {
  return record({
    name: "a daemon under load",
    library,
    prepare: (dir) => cpSync(first.after, dir, { recursive: true }),
    facts: known(first.facts),
    async work(recorder) {
      watch(recorder, receiver);
      const daemon = await recorder.start();
      await sendEvents(recorder, daemon, LOAD);
      await settle(recorder);
      await daemon.stop();
      const next = await recorder.start();
      await sendEvents(recorder, next, { events: 200, signals: 3, window: 8 });
      await settle(recorder);
      await next.stop("SIGKILL");
    },
  });
}

/** About 20 MB of events, of which a log holds 16 before it is copied. */
const LOAD = { events: 1_500, signals: 100, window: 8 };

/** The same while something fails once; the daemon must find a way on without a restart. */
export async function recordFailure(
  { library, receiver }: World,
  { first, name, env }: { first: Recording; name: string; env: Record<string, string> },
): Promise<{ recording: Recording; log: string }> {
  let log = "";
  const recording = await record({
    name,
    library,
    prepare: (dir) => cpSync(first.after, dir, { recursive: true }),
    facts: known(first.facts),
    env,
    async work(recorder) {
      watch(recorder, receiver);
      const daemon = await recorder.start();
      await sendEvents(recorder, daemon, { ...LOAD, events: 2 * LOAD.events });
      await settle(recorder);
      log = daemon.log.map(({ msg, error }) => `${msg}: ${error}\n`).join("");
      await daemon.stop("SIGKILL");
    },
  });
  return { recording, log };
}

/** A disk on which each sync takes long, so that receivers have events that no disk has. */
export function recordSlowDisk({ library, receiver }: World, first: Recording): Promise<Recording> {
  return record({
    name: "a slow disk",
    library,
    prepare: (dir) => cpSync(first.after, dir, { recursive: true }),
    facts: known(first.facts),
    env: { ARMORHOOKS_POWER_DELAY: "400000" },
    async work(recorder) {
      watch(recorder, receiver);
      const daemon = await recorder.start();
      await Promise.all(
        [0, 100, 200, 300].map(async (pause) => {
          await Bun.sleep(pause);
          await sendEvents(recorder, daemon, { events: 6, signals: 3, window: 1 });
        }),
      );
      await settle(recorder);
      await daemon.stop("SIGKILL");
    },
  });
}

export function recordRotation({ library }: World, first: Recording): Promise<Recording> {
  return record({
    name: "secret-key rotate",
    library,
    prepare: (dir) => cpSync(first.after, dir, { recursive: true }),
    facts: known(first.facts),
    work: async (recorder) => succeed(await recorder.run(["secret-key", "rotate", "--data-dir", "data"])),
  });
}

const COPY = "backups/copy.db";

export function recordBackup({ library }: World, first: Recording): Promise<Recording> {
  return record({
    name: "backup",
    library,
    prepare(dir) {
      cpSync(first.after, dir, { recursive: true });
      mkdirSync(join(dir, "backups"));
    },
    facts: known(first.facts),
    async work(recorder) {
      const file = { at: Number.POSITIVE_INFINITY, path: COPY };
      recorder.facts.files.push(file);
      succeed(await recorder.run(["backup", "--data-dir", "data", COPY]));
      file.at = recorder.now();
    },
  });
}

/** All of it is taken to a PostgreSQL server, and the directory says so. */
export function recordMove({ library }: World, first: Recording, url: string): Promise<Recording> {
  return record({
    name: "a move",
    library,
    prepare: (dir) => cpSync(first.after, dir, { recursive: true }),
    facts: known(first.facts),
    async work(recorder) {
      const moved = { at: Number.POSITIVE_INFINITY, to: url };
      recorder.facts.moved = moved;
      succeed(await recorder.run(["move", "--data-dir", "data", "--to", url]));
      moved.at = recorder.now();
    },
  });
}

/** The first start on a backup alone, which carries the key. */
export function recordRestore({ library, receiver }: World, first: Recording): Promise<Recording> {
  return record({
    name: "a restored backup",
    library,
    async prepare(dir) {
      const file = join(dir, "data", "armorhooks.db");
      mkdirSync(join(dir, "data"), { mode: 0o700 });
      succeed(
        await runCommand(["backup", "--data-dir", join(first.after, "data"), file], { compiled: true }),
      );
    },
    facts: known(first.facts),
    async work(recorder) {
      watch(recorder, receiver);
      const daemon = await recorder.start();
      await sendEvents(recorder, daemon, { events: 5, signals: 3, window: 1 });
      await settle(recorder);
      await daemon.stop();
    },
  });
}

/** How many migrations a database of each older version has. */
export const OLD_SCHEMAS: readonly number[] = MIGRATIONS.slice(1).map((_, i) => i + 1);

export function recordUpgrade({ library, receiver }: World, schema: number): Promise<Recording> {
  let facts = noFacts();
  return record({
    name: `an upgrade from schema ${schema}`,
    library,
    prepare(dir) {
      facts = writeOldDatabase(join(dir, "data"), { schema, url: receiver.url });
    },
    async work(recorder) {
      Object.assign(recorder.facts, facts);
      watch(recorder, receiver);
      const daemon = await recorder.start();
      await sendEvents(recorder, daemon, { events: 5, signals: 3, window: 1 });
      await settle(recorder);
      await daemon.stop();
    },
  });
}

/** A database as an older version left it: one organization, key and webhook, and events with a delivery each. */
function writeOldDatabase(dataDir: string, { schema, url }: { schema: number; url: string }): Facts {
  mkdirSync(dataDir, { mode: 0o700 });
  const secretKey = Buffer.alloc(32, 7);
  writeFileSync(join(dataDir, "secret.key"), `${secretKey.toString("hex")}\n`, { mode: 0o600 });
  const rawKey = `ia_sk_${"ab".repeat(24)}`;
  const tag = newInstallationTag();
  const secret = "cd".repeat(32);
  const uuid = crypto.randomUUID();
  const sqlite = new Database(join(dataDir, "armorhooks.db"));
  sqlite.exec("PRAGMA auto_vacuum = INCREMENTAL; PRAGMA journal_mode = WAL");
  migrate(sqlite, MIGRATIONS.slice(0, schema));
  const at = Date.now() - 3_600_000;
  sqlite.query("INSERT INTO meta (key, value) VALUES ('installation_tag', ?)").run(tag);
  sqlite
    .query("INSERT INTO organizations (uuid, name, plan, created_at) VALUES (?, 'acme', 'enterprise', ?)")
    .run(crypto.randomUUID(), at);
  sqlite
    .query(
      "INSERT INTO api_keys (uuid, organization_id, name, key_prefix, key_hash, rate_limit_per_minute, created_at) VALUES (?, 1, 'old', ?, ?, 1000, ?)",
    )
    .run(crypto.randomUUID(), rawKey.slice(0, 12), createHash("sha256").update(rawKey).digest(), at);
  sqlite
    .query(
      "INSERT INTO webhooks (uuid, organization_id, url, events, secret, created_at) VALUES (?, 1, ?, '[\"red_tier\"]', ?, ?)",
    )
    .run(uuid, url, createSecretBox(secretKey).seal(secret, uuid), at);
  const facts = noFacts();
  const { format } = createIdFormat(tag);
  for (let n = 0; n < 40; n += 1) {
    const id = idAt(at) + n * 2;
    sqlite
      .query("INSERT INTO events (id, organization_id, type, body, received_at) VALUES (?, 1, 2, '{}', ?)")
      .run(id, at);
    sqlite
      .query(
        "INSERT INTO deliveries (id, webhook_id, event_id, status, attempt_count, created_at, finished_at) VALUES (?, 1, ?, 1, 1, ?, ?)",
      )
      .run(id + 1, id, at, at);
    facts.acks.push({ at: 0, id: format(id), deliveries: 1 });
    facts.seen.push({ at: 0, id: format(id) });
  }
  sqlite.close();
  const state = { url, events: ["red_tier"], enabled: true, secret };
  facts.webhooks.set(uuid, [{ from: 0, at: 0, state }]);
  return { ...facts, readyAt: 0, key: rawKey };
}

function succeed({ code, stderr }: { code: number; stderr: string }): void {
  if (code !== 0) throw new Error(stderr);
}
