import { UsageError } from "../../errors.ts";
import { createIdFormat } from "../../ids.ts";
import type { Logger } from "../../log.ts";
import type { SecretKeySource } from "../../secrets/key-file.ts";
import type { SecretBox } from "../../secrets/secret-box.ts";
import { isStoreFault } from "../faults.ts";
import type { Store } from "../store.ts";
import { type Address, parseAddress } from "./address.ts";
import { createAnnouncer, createListener } from "./announcements.ts";
import { createApiKeys } from "./api-keys.ts";
import { createBootstrap } from "./bootstrap.ts";
import { createClaims } from "./claims.ts";
import { createDatabaseClock, readClock } from "./clock.ts";
import { createDaemons } from "./daemons.ts";
import { createPostgresDatabase, type PostgresDatabase } from "./database.ts";
import { createDaysAhead, makeDays, momentsOf } from "./days.ts";
import { createDeliveryQueue } from "./delivery-queue.ts";
import { createDirectory } from "./directory.ts";
import { createDueWebhooks } from "./due-webhooks.ts";
import { createEventHistory } from "./event-history.ts";
import { createEventLog } from "./event-log.ts";
import { mayPass } from "./faults.ts";
import { createHistory } from "./history.ts";
import { createDaemonIds } from "./ids.ts";
import { createLeases } from "./leases.ts";
import { createMembership } from "./members.ts";
import { createOrganizations } from "./organizations.ts";
import { createOverview } from "./overview.ts";
import { createPartitions } from "./partitions.ts";
import type { Query } from "./pool.ts";
import { prepareDatabase } from "./prepare-database.ts";
import { createPulse } from "./pulse.ts";
import { createRetention } from "./retention.ts";
import { openSecretBox, rotateSecretKey } from "./secret-key.ts";
import { createStatistics } from "./statistics.ts";
import { whyUnreachable } from "./unreachable.ts";
import { createWatchers } from "./watchers.ts";
import { createWebhooks } from "./webhooks.ts";

export interface PostgresStoreOptions {
  /** A postgres:// URL. */
  url: string;
  log?: Logger;
  /** Where the secret key is; without one, nothing that needs it can be asked for. */
  secretKey?: SecretKeySource;
  /** Whether the store stays open for long, as a daemon's. */
  resident?: boolean;
  /** Whether the database must have its tables; otherwise they are made. */
  mustExist?: boolean;
  /** For tests: milliseconds to wait for a database that is away. */
  patienceMs?: number;
  /** For tests: milliseconds by which the database's clock is ahead of what it says. */
  clockSkew?: () => number;
}

/**
 * Opens the store of a database, making its tables when missing; for a daemon, a database that is away is waited for.
 * Rejects with UsageError: a sentence for the operator.
 */
export async function openPostgresStore(options: PostgresStoreOptions): Promise<Store> {
  const address = parseAddress(options.url);
  const resident = options.resident ?? false;
  const { log, patienceMs = resident ? PATIENCE_MS : 0 } = options;
  const end = performance.now() + patienceMs;
  for (let isFirst = true; ; isFirst = false) {
    const database = createPostgresDatabase({ address, log, resident });
    try {
      const store = await assemble(database, address, { ...options, resident });
      if (!isFirst) log?.info("the database is there");
      return store;
    } catch (error) {
      await database.close();
      if (!isStoreFault(error)) throw error;
      const why = await whyUnreachable(error, address);
      if (!mayPass(error) || performance.now() > end)
        throw new UsageError(`cannot use the database ${address.shown}: ${why}`, 1);
      if (isFirst) {
        const wait = { database: address.shown, error: why, seconds: Math.round(patienceMs / 1_000) };
        log?.warn("the database is away; trying again", wait);
        log?.flush();
      }
      await Bun.sleep(AGAIN_MS);
    }
  }
}

/** A server that starts, or whose replica takes over, takes less; then whoever started this one is to know. */
const PATIENCE_MS = 60_000;
const AGAIN_MS = 500;

async function assemble(
  database: PostgresDatabase,
  address: Address,
  { log, secretKey, resident, mustExist = false, clockSkew }: PostgresStoreOptions & { resident: boolean },
): Promise<Store> {
  const { main, pulse: pulsePool } = database;
  const tag = await prepareDatabase(main, { shown: address.shown, resident, mustExist });
  const clock = createDatabaseClock(clockSkew);
  await readClock(main.query, clock);
  const opened = { box: secretKey ? await openSecretBox(database, secretKey) : null };
  const box = (): SecretBox => {
    if (!opened.box) throw new UsageError("no secret key is loaded");
    return opened.box;
  };

  const ids = createDaemonIds(clock.schedule);
  const claims = createClaims();
  const announcer = createAnnouncer(main);
  const membership = createMembership(pulsePool, ids.setNumber);
  const watchers = createWatchers();
  const partitions = createPartitions({ pool: pulsePool, membership, isBusy: claims.isBusy, watchers });
  const due = createDueWebhooks({ worker: database.worker, partitions, watchers, clock });

  const directory = createDirectory();
  const refresh = async (query: Query): Promise<void> => {
    // At first there is nobody to tell.
    const isFirst = directory.version() < 0;
    const webhooks = await directory.refresh(query);
    if (!isFirst) for (const id of webhooks) watchers.changed(id);
  };
  /** Something that daemons keep in memory was changed by this one. */
  const changed = async (): Promise<void> => {
    await refresh(main.query);
    announcer.tell({ changed: true });
  };

  const apiKeys = createApiKeys(database, { clock, directory, changed, isResident: resident });
  const statistics = createStatistics(database);
  const makeDaysAhead = createDaysAhead(main, clock.schedule);
  const makeDaysOf = (of: readonly number[]): Promise<void> => makeDays(main, momentsOf(of));
  const tidy = async (): Promise<void> => {
    await apiKeys.writeUses();
    await statistics.flush();
    await makeDaysAhead();
  };

  const pulse = createPulse({
    database,
    clock,
    membership,
    partitions,
    announcer,
    createListener: (...handlers) => createListener(address, ...handlers),
    log,
    refresh,
    tidy,
    due,
    watchers,
  });

  await refresh(main.query);
  await makeDaysAhead();
  if (resident) await pulse.start();

  return {
    place: address.shown,
    clock,
    ids: {
      next: ids.next,
      ...createIdFormat(tag),
    },
    bootstrap: createBootstrap(database, { clock, changed }),
    organizations: createOrganizations(database, { clock, directory, changed }),
    apiKeys,
    webhooks: createWebhooks(database, { box, clock, directory, ceiling: ids.ceiling, changed }),
    eventLog: createEventLog(database, {
      nextId: ids.next,
      schedule: clock.schedule,
      membership,
      partitions,
      claims,
      announcer,
      makeDays: makeDaysOf,
    }),
    deliveryQueue: createDeliveryQueue(database, {
      claims,
      partitions,
      announcer,
      watchers,
      due,
      statistics,
      clock,
      nextId: ids.next,
      ceiling: ids.ceiling,
      changed,
      onWatched: pulse.send,
      makeDays: makeDaysOf,
    }),
    history: createHistory(database),
    eventHistory: createEventHistory(database),
    statistics,
    retention: createRetention(database, statistics.prune),
    leases: createLeases(pulsePool, membership),
    daemons: createDaemons(main, partitions),
    overview: createOverview(database, clock.schedule),
    secrets: {
      derive: (purpose) => box().derive(purpose),
      async rotateKey() {
        if (!secretKey) throw new UsageError("no secret key is loaded");
        const count = await rotateSecretKey(database, secretKey, box());
        opened.box = await openSecretBox(database, secretKey);
        return count;
      },
    },
    fault: database.fault,
    async close() {
      if (resident) await pulse.stop();
      // With the database away, what was noted and is not written yet is lost.
      else await tidy().catch(() => {});
      await announcer.flush();
      await database.close();
    },
  };
}
