import { readFileSync, truncateSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { secretKeySource } from "../../src/secrets/key-file.ts";
import { openSqliteStore, type SqliteStore } from "../../src/store/sqlite/store.ts";
import type { Store } from "../../src/store/store.ts";
import { newDir, removeDir } from "../support/daemon.ts";
import type { World } from "./conformance/harness.ts";
import { storeConformance } from "./conformance.ts";

async function openWorld(): Promise<World> {
  const dir = newDir();
  const dataDir = join(dir, "data");
  let skipped = 0;
  const clockSources = { wall: () => Date.now() + skipped, monotonic: () => performance.now() + skipped };
  const open = (resident: boolean): SqliteStore =>
    openSqliteStore({ dataDir, resident, secretKey: secretKeySource(dataDir, null), clockSources });
  let store = open(true);
  const others: Store[] = [];
  // What was written since the start is in the log alone.
  const wal = join(dataDir, "armorhooks.db-wal");
  let log = Buffer.alloc(0);
  return {
    get store() {
      return store;
    },
    async reopen() {
      await store.close();
      store = open(true);
      return store;
    },
    async beside() {
      const other = open(false);
      others.push(other);
      return other;
    },
    // A daemon has the data directory for itself (lock.ts).
    secondDaemon: async () => null,
    breakWrites: () => store.database.sqlite.exec("PRAGMA query_only = ON"),
    mendWrites: () => store.database.sqlite.exec("PRAGMA query_only = OFF"),
    breakReads() {
      log = readFileSync(wal);
      truncateSync(wal);
      store.database.sqlite.exec("PRAGMA shrink_memory");
    },
    mendReads: () => writeFileSync(wal, log),
    skipTime: (milliseconds) => {
      skipped += milliseconds;
    },
    async end() {
      for (const one of [...others, store]) await one.close();
      removeDir(dir);
    },
  };
}

storeConformance("SQLite", { open: openWorld });
