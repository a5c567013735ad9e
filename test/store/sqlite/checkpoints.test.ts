import { Database } from "bun:sqlite";
import { afterEach, beforeEach, expect, test } from "bun:test";
import { existsSync, statSync } from "node:fs";
import { join } from "node:path";
import type { CopyFailure } from "../../../src/store/sqlite/checkpoint-thread.ts";
import { type Checkpoints, createCheckpoints } from "../../../src/store/sqlite/checkpoints.ts";
import { NOOP, type WalState } from "../../../src/store/sqlite/wal-state.ts";
import { CHECKPOINT_THREAD } from "../../../src/threads.ts";
import { newDir, removeDir, until } from "../../support/daemon.ts";

const PAGE = 4_096;
/** Pages of a log at which it is copied within a commit. */
const LIMIT = 16_000;

let dir: string;
let path: string;
let sqlite: Database;
let checkpoints: Checkpoints | null = null;
let failures: (CopyFailure | null)[] = [];
const onCopied = (failure: CopyFailure | null) => failures.push(failure);

beforeEach(() => {
  failures = [];
  dir = newDir();
  path = join(dir, "some.db");
  sqlite = new Database(path);
  sqlite.exec(`PRAGMA journal_mode = WAL; PRAGMA synchronous = NORMAL; PRAGMA wal_autocheckpoint = 0`);
  sqlite.exec("PRAGMA busy_timeout = 2000");
  sqlite.exec("CREATE TABLE data (id INTEGER PRIMARY KEY, bytes BLOB)");
});
afterEach(() => {
  checkpoints?.close();
  checkpoints = null;
  sqlite.close();
  removeDir(dir);
});

function state(): WalState {
  return sqlite.query<WalState, []>(NOOP).get() as WalState;
}

/** Writes about so many pages to the log, a few with each commit. */
function write(pages: number): void {
  for (let n = 0; n < pages / 4; n += 1) {
    sqlite.query("INSERT INTO data (bytes) VALUES (randomblob(?))").run(3 * PAGE);
    checkpoints?.committed();
  }
}

const logBytes = (): number => statSync(`${path}-wal`).size;

test("a long log is copied on another thread, and begins anew", async () => {
  checkpoints = createCheckpoints(sqlite, path, { onCopied, loaded: () => false });
  for (let round = 0; round < 5; round += 1) {
    write(5_000);
    await until("all of the log is copied", () => state().checkpointed === state().log);
    write(20);
    expect(state().log).toBeLessThan(1_000);
  }
  expect(logBytes()).toBeLessThan(8_000 * PAGE);
  const count = "SELECT count(*) AS n, sum(length(bytes)) AS bytes FROM data";
  const { n, bytes } = sqlite.query<{ n: number; bytes: number }, []>(count).get() as {
    n: number;
    bytes: number;
  };
  expect(bytes).toBe(n * 3 * PAGE);
  expect(sqlite.query("PRAGMA integrity_check").get()).toEqual({ integrity_check: "ok" });
}, 30_000);

test("what is written while the log is copied is neither lost nor left out of it", async () => {
  checkpoints = createCheckpoints(sqlite, path, { onCopied, loaded: () => false });
  for (let round = 0; round < 40; round += 1) {
    write(500);
    await Bun.sleep(1);
  }
  await until("the log has begun anew", () => {
    write(100);
    return state().log < 4_000;
  });
  expect(sqlite.query("PRAGMA integrity_check").get()).toEqual({ integrity_check: "ok" });
}, 30_000);

test("a short log is left alone", async () => {
  checkpoints = createCheckpoints(sqlite, path, { onCopied, loaded: () => false });
  write(3_000);
  await Bun.sleep(200);
  expect(state().checkpointed).toBe(0);
});

test("whoever waits for the thread closes the database whole, also while it copies", async () => {
  checkpoints = createCheckpoints(sqlite, path, { onCopied, loaded: () => false });
  for (const pause of [0, 5, 15, 30]) {
    write(8_000);
    await Bun.sleep(pause);
    await checkpoints.finish();
    checkpoints.close();
    sqlite.close();
    expect(existsSync(`${path}-wal`)).toBe(false);
    sqlite = new Database(path);
    sqlite.exec("PRAGMA synchronous = NORMAL");
    checkpoints = createCheckpoints(sqlite, path, { onCopied, loaded: () => false });
  }
  expect(sqlite.query("PRAGMA integrity_check").get()).toEqual({ integrity_check: "ok" });
}, 30_000);

test("little is left for the thread that writes, although it goes on", async () => {
  const thread = new Worker(CHECKPOINT_THREAD);
  const answers: unknown[] = [];
  thread.onmessage = ({ data }) => answers.push(data);
  write(8_000);
  thread.postMessage(path);
  while (answers.length === 0) {
    write(20);
    await Bun.sleep(1);
  }
  const { log, checkpointed } = state();
  expect(answers).toEqual([{ isOver: false, failure: null }]);
  // One pass alone leaves what was written during it, which is thousands.
  expect(log - checkpointed).toBeLessThan(1_000);
  thread.terminate();
}, 30_000);

test("a copy that fails is told with SQLite's code, and the next one tries again", async () => {
  checkpoints = createCheckpoints(sqlite, path, { onCopied, loaded: () => false });
  write(4_500);
  await until("a copy is told", () => failures.length > 0);
  expect(failures).toEqual([null]);
  checkpoints.close();
  const elsewhere = join(dir, "nowhere", "some.db");
  failures = [];
  checkpoints = createCheckpoints(sqlite, elsewhere, { onCopied, loaded: () => false });
  write(4_500);
  await until("the failure is told", () => failures.length > 0);
  expect(failures[0]?.code).toStartWith("SQLITE_CANTOPEN");
  write(100);
  await until("it is tried again", () => failures.length > 1);
}, 30_000);

test("nothing is copied while that must not be", () => {
  checkpoints = createCheckpoints(sqlite, path, { onCopied, mayCopy: () => false, thread: null });
  write(LIMIT + 100);
  checkpoints.copy();
  expect(state().checkpointed).toBe(0);
});

test("under load that waits until it must be", async () => {
  checkpoints = createCheckpoints(sqlite, path, { onCopied, loaded: () => true });
  write(8_000);
  await Bun.sleep(200);
  expect(state().checkpointed).toBe(0);
  write(5_000);
  await until("all of the log is copied", () => state().checkpointed === state().log);
});

test("without the thread a commit copies a log that has become too long, and why is told", async () => {
  const thread = new URL("./no-such-thread.ts", import.meta.url).href;
  checkpoints = createCheckpoints(sqlite, path, { onCopied, thread, loaded: () => false });
  write(5_000);
  await until("the thread is given up", () => failures.length > 0);
  expect(failures[0]?.message).toContain("the thread that copies it has ended");
  expect(state().checkpointed).toBe(0);
  write(LIMIT);
  expect(logBytes()).toBeLessThan((LIMIT + 1_000) * (PAGE + 24));
  expect(sqlite.query("PRAGMA integrity_check").get()).toEqual({ integrity_check: "ok" });
}, 30_000);
