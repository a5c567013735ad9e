import { join } from "node:path";
import { type ClockSources, type ClockState, clockState, createClock } from "../../clock.ts";
import { messageOf, UsageError } from "../../errors.ts";
import { createIdFormat, newInstallationTag, timeOfId } from "../../ids.ts";
import type { Logger } from "../../log.ts";
import type { SecretKeySource } from "../../secrets/key-file.ts";
import type { SecretBox } from "../../secrets/secret-box.ts";
import type { Store } from "../store.ts";
import { createApiKeys } from "./api-keys.ts";
import { createBootstrap } from "./bootstrap.ts";
import { createClaims } from "./claims.ts";
import { type OpenOptions, openDatabase, type StoreDatabase } from "./database.ts";
import { DATABASE_FILE, refusal } from "./database-file.ts";
import { createDeliveryStore, type DeliveryStore } from "./deliveries.ts";
import { createDeliveryQueue } from "./delivery-queue.ts";
import { createEventFeed } from "./event-feed.ts";
import { createEventHistory } from "./event-history.ts";
import { createEventLog, type SqliteEventLog } from "./event-log.ts";
import { createExternalIds, type ExternalIds } from "./external-ids.ts";
import { isSqliteFault, promised } from "./faults.ts";
import { HIGHEST_WATERMARK } from "./fresh-deliveries.ts";
import { createHistory } from "./history.ts";
import { startHousekeeping } from "./housekeeping.ts";
import { createReservedIds } from "./id-reservation.ts";
import { createLeases } from "./leases.ts";
import { getMeta, setMeta } from "./meta.ts";
import { createOrganizations } from "./organizations.ts";
import { createOverview } from "./overview.ts";
import { createRedelivery, type Redelivery } from "./redelivery.ts";
import { createRetention } from "./retention.ts";
import { openSecretBox, rotateSecretKey } from "./secret-key.ts";
import { createStatistics } from "./statistics.ts";
import { createWebhookLog } from "./webhook-log.ts";
import { createWebhooks, type SqliteWebhooks } from "./webhooks.ts";

/** The store on SQLite, with what only this one has. */
export interface SqliteStore extends Store {
  database: StoreDatabase;
  webhooks: SqliteWebhooks;
  eventLog: SqliteEventLog;
  deliveries: DeliveryStore;
  redelivery: Redelivery;
  lastId(): number;
  /** Writes the schedule clock down, and proves that writing works; throws when it does not. */
  saveClock(): void;
}

export interface StoreOptions extends OpenOptions {
  /** Where the secret key is, which is made on first start; without one, nothing that needs it can be asked for. */
  secretKey?: SecretKeySource;
  /** Whether the store stays open for long: then it keeps itself up to date, finds out when it can write again, and is ready for events. */
  resident?: boolean;
  clockSources?: ClockSources;
}

/** Opens the store of a data directory, making it when missing; throws UsageError with a sentence for the operator. */
export function openSqliteStore({
  clockSources,
  secretKey,
  resident = false,
  ...options
}: StoreOptions): SqliteStore {
  const database = openDatabase({ ...options, ...(resident && { copying: "beside" as const }) });
  try {
    const path = join(options.dataDir, DATABASE_FILE);
    return assemble(database, { path, secretKey, resident, clockSources, log: options.log });
  } catch (error) {
    database.close();
    throw error;
  }
}

interface AssembleOptions {
  path: string;
  secretKey: SecretKeySource | undefined;
  resident: boolean;
  clockSources: ClockSources | undefined;
  log: Logger | undefined;
}

function assemble(
  database: StoreDatabase,
  { path, secretKey, resident, clockSources, log }: AssembleOptions,
): SqliteStore {
  const { orm, transaction } = database;
  const tag = getMeta(orm, "installation_tag") ?? transaction("durable", () => makeTag(database));
  const newest = newestId(database);
  const clock = createClock(savedClock(database, newest), clockSources);
  const noteClock = (): void => setMeta(orm, "clock", JSON.stringify(clockState(clock)));
  const reserved = createReservedIds(database, { clock, noteClock, newest });
  const { lastId } = reserved;

  let opened = secretKey ? openSecretBox(database, secretKey) : null;
  const box = (): SecretBox => {
    if (!opened) throw new UsageError("no secret key is loaded");
    return opened;
  };

  const externalIds = createExternalIds(database);
  // Otherwise the first event would wait for it.
  if (resident) loadOrRefuse(externalIds, path);
  const feed = createEventFeed(database);
  const statistics = createStatistics(database);
  const webhookLog = createWebhookLog(database.sqlite, transaction);
  const organizations = createOrganizations(database, clock);
  const apiKeys = createApiKeys(database, clock);
  const webhooks = createWebhooks(database, { box, clock, lastId });
  const claims = createClaims();
  const eventLog = createEventLog(
    database,
    { externalIds, webhookLog, claims, feed },
    { ids: reserved, schedule: clock.schedule },
  );
  const deliveries = createDeliveryStore(database, { webhookLog, statistics });
  const redelivery = createRedelivery(database, reserved, webhookLog);
  const deliveryQueue = createDeliveryQueue(database, {
    deliveries,
    redelivery,
    claims,
    clock,
    lastId,
    onDisabled: webhooks.forgetSubscriptions,
  });
  const { deliveriesOf, ...history } = createHistory(database, webhookLog);

  const saveClock = (): void => transaction("relaxed", noteClock);
  const onFault = (error: unknown): void => {
    // What keeps the database from writing it has said itself.
    if (database.fault() === null) log?.error("fault", { where: "housekeeping", error: messageOf(error) });
  };
  const tidy = async (): Promise<void> => {
    await organizations.refresh();
    apiKeys.writeUses();
  };
  const endHousekeeping = resident
    ? startHousekeeping({ tidy, saveClock, isFaulty: () => database.fault() !== null, onFault })
    : async (): Promise<void> => {};

  return {
    place: path,
    clock,
    ids: {
      next() {
        reserved.reserve();
        return reserved.issue();
      },
      ...createIdFormat(tag),
    },
    bootstrap: createBootstrap(database, clock, organizations.changed),
    organizations,
    apiKeys,
    webhooks,
    history,
    eventHistory: createEventHistory(database, { feed, externalIds, deliveriesOf }),
    statistics,
    retention: createRetention(database, { externalIds, webhookLog, feed, statistics }),
    leases: createLeases(),
    daemons: null,
    overview: createOverview(database, { webhookLog, path, schedule: clock.schedule }),
    secrets: {
      derive: (purpose) => box().derive(purpose),
      rotateKey: () =>
        promised(() => {
          if (!secretKey) throw new UsageError("no secret key is loaded");
          const count = rotateSecretKey(database, secretKey, webhooks.reseal);
          opened = openSecretBox(database, secretKey);
          return count;
        }),
    },
    fault: database.fault,
    async close() {
      await endHousekeeping();
      try {
        reserved.release();
      } catch {
        // The next start then begins a few seconds further, as after a crash; the store has said why it cannot write.
      }
      webhookLog.close();
      await database.finishCheckpoints();
      database.close();
    },
    eventLog,
    deliveryQueue,
    database,
    deliveries,
    redelivery,
    lastId,
    saveClock,
  };
}

function loadOrRefuse(externalIds: ExternalIds, path: string): void {
  try {
    externalIds.load();
  } catch (error) {
    throw isSqliteFault(error) ? refusal(path, error) : error;
  }
}

function makeTag(database: StoreDatabase): string {
  const { orm } = database;
  const existing = getMeta(orm, "installation_tag");
  if (existing) return existing;
  const tag = newInstallationTag();
  setMeta(orm, "installation_tag", tag);
  // Of a new database it is known that no id was ever given: its webhooks need not be asked (newestId).
  if (newestId(database) === 0) setMeta(orm, "ids_reserved", "0");
  return tag;
}

function newestId({ sqlite, orm }: StoreDatabase): number {
  const idOf = (sql: string): number => sqlite.query<{ id: number | null }, []>(sql).get()?.id ?? 0;
  const newest = Math.max(
    ...["events", "deliveries"].map((table) => idOf(`SELECT max(id) AS id FROM ${table}`)),
  );
  // What was there may have been pruned, but the watermarks of fresh deliveries rely on larger ids. What is reserved
  // is above all that were given, and reading it does not take longer with more webhooks.
  const isReserved = getMeta(orm, "ids_reserved") !== null;
  return isReserved ? newest : Math.max(newest, idOf(HIGHEST_WATERMARK));
}

/**
 * Schedule time does not go back, also when the daemon was killed before it could write its clock down: it does so
 * whenever it reserves ids. Before it did that, the newest id told; now ids may be ahead of the clock.
 */
function savedClock({ orm }: StoreDatabase, newest: number): ClockState | null {
  const text = getMeta(orm, "clock");
  if (text === null && newest === 0) return null;
  const saved: ClockState = text === null ? { offset: 0, last: 0 } : JSON.parse(text);
  const idsTell = newest > 0 && getMeta(orm, "ids_reserved") === null;
  return { offset: saved.offset, last: Math.max(saved.last, idsTell ? timeOfId(newest) : 0) };
}
