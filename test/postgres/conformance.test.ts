import { afterAll, beforeAll, describe } from "bun:test";
import { writeFileSync } from "node:fs";
import { join } from "node:path";
import { openPostgresStore } from "../../src/store/postgres/store.ts";
import type { Store } from "../../src/store/store.ts";
import type { World } from "../store/conformance/harness.ts";
import { storeConformance } from "../store/conformance.ts";
import { newDir, removeDir, until } from "../support/daemon.ts";
import { type Cluster, hasPostgres, startCluster } from "../support/postgres.ts";

let cluster: Cluster;

const NOTHING = { due() {}, changed() {}, gained() {}, lost() {} };

/** As a daemon has it whose engine has started: it holds every partition. */
async function openHolding(options: Parameters<typeof openPostgresStore>[0]): Promise<Store> {
  const store = await openPostgresStore({ ...options, resident: true });
  store.deliveryQueue.watch(NOTHING);
  await until("it holds the webhooks", () => store.deliveryQueue.mayBegin(1));
  return store;
}

async function openWorld(): Promise<World> {
  const dir = newDir();
  const path = join(dir, "secret.key");
  writeFileSync(path, "5a".repeat(32));
  const url = await cluster.database();
  let skipped = 0;
  const options = { url, secretKey: { path, managed: true }, clockSkew: () => skipped };
  let store = await openHolding(options);
  const others: Store[] = [];
  const setReadOnly = (value: string): void => {
    cluster.run(url, `ALTER SYSTEM SET default_transaction_read_only = ${value}`);
    cluster.run(url, "SELECT pg_reload_conf()");
    // The server tells its processes in its own time.
    Bun.sleepSync(100);
  };
  const server = url.replace(/[^/]*$/, "postgres");
  const name = url.slice(url.lastIndexOf("/") + 1);
  return {
    get store() {
      return store;
    },
    async reopen() {
      await store.close();
      store = await openHolding(options);
      return store;
    },
    async beside() {
      const other = await openPostgresStore(options);
      others.push(other);
      return other;
    },
    async secondDaemon() {
      const other = await openPostgresStore({ ...options, resident: true });
      others.push(other);
      return other;
    },
    breakWrites: () => setReadOnly("on"),
    mendWrites: () => setReadOnly("off"),
    breakReads() {
      cluster.run(server, `ALTER DATABASE ${name} ALLOW_CONNECTIONS false`);
      cluster.run(
        server,
        `SELECT pg_terminate_backend(pid, 1000) FROM pg_stat_activity WHERE datname = '${name}'`,
      );
    },
    mendReads: () => void cluster.run(server, `ALTER DATABASE ${name} ALLOW_CONNECTIONS true`),
    skipTime: (milliseconds) => {
      skipped += milliseconds;
    },
    async end() {
      for (const one of [...others, store]) await one.close();
      removeDir(dir);
    },
  };
}

if (hasPostgres()) {
  describe("with a server of its own:", () => {
    beforeAll(async () => {
      cluster = await startCluster();
    }, 30_000);
    afterAll(() => cluster.remove());
    storeConformance("PostgreSQL", { open: openWorld });
  });
}
