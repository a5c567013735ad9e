import { join } from "node:path";
import { type Clock, type ClockSources, type ClockState, clockState, createClock } from "../../clock.ts";
import { UsageError } from "../../errors.ts";
import { createIdSource, formatId, newInstallationTag, parseId, timeOfId, writeId } from "../../ids.ts";
import type { SecretBox } from "../secret-box.ts";
import { type ApiKeyStore, createApiKeyStore } from "./api-keys.ts";
import { type Bootstrap, createBootstrap } from "./bootstrap.ts";
import {
  DATABASE_FILE,
  isStoreFault,
  type OpenOptions,
  openDatabase,
  refusal,
  type StoreDatabase,
} from "./database.ts";
import { createDeliveryStore, type DeliveryStore } from "./deliveries.ts";
import { createDeliveryLog, type DeliveryLog } from "./delivery-log.ts";
import { createEventStore, type EventStore } from "./events.ts";
import { createExternalIds } from "./external-ids.ts";
import { getMeta, setMeta } from "./meta.ts";
import { createOrganizationStore, type OrganizationStore } from "./organizations.ts";
import { createRetention, type Retention } from "./retention.ts";
import { createWebhookLog } from "./webhook-log.ts";
import { createWebhookStore, type WebhookStore } from "./webhooks.ts";

/** Everything that is kept. The functions are few and take batches: another database would be put behind these. */
export interface Store {
  database: StoreDatabase;
  clock: Clock;
  bootstrap: Bootstrap;
  organizations: OrganizationStore;
  apiKeys: ApiKeyStore;
  webhooks: WebhookStore;
  events: EventStore;
  deliveries: DeliveryStore;
  deliveryLog: DeliveryLog;
  retention: Retention;
  /** An event's or delivery's id as the outside sees it, and back. */
  formatId(id: number): string;
  /** The same text as bytes. */
  writeId(id: number, into: Uint8Array, at: number): void;
  parseId(text: string): number | null;
  /** An id for a message that is not stored. */
  newId(): number;
  /** Reads what tells a scanner's repeats; otherwise the first event waits for it. Throws UsageError. */
  loadExternalIds(): void;
  /** The latest id that was given: what is there now has ids up to this one. */
  lastId(): number;
  /** Writes the schedule clock down, and proves that writing works; throws when it does not. */
  saveClock(): void;
  /** Must be called before webhooks are made or loaded. */
  useSecretBox(box: SecretBox): void;
  close(): void;
}

export interface StoreOptions extends OpenOptions {
  clockSources?: ClockSources;
}

/** Opens the store of a data directory; throws UsageError with a sentence for the operator. */
export function openStore({ clockSources, ...options }: StoreOptions): Store {
  const database = openDatabase(options);
  try {
    return assemble(database, join(options.dataDir, DATABASE_FILE), clockSources);
  } catch (error) {
    database.close();
    throw error;
  }
}

function assemble(database: StoreDatabase, path: string, clockSources?: ClockSources): Store {
  const { orm, transaction } = database;
  const tag = getMeta(orm, "installation_tag") ?? transaction("durable", () => makeTag(database));
  const clock = createClock(savedClock(database), clockSources);
  let last = newestId(database);
  const nextId = createIdSource(() => clock.schedule(), last);
  const issue = (count = 1): number => {
    const first = nextId(count);
    last = first + count - 1;
    return first;
  };

  let box: SecretBox | null = null;
  const webhooks = createWebhookStore(database, () => {
    if (!box) throw new UsageError("no secret key is loaded");
    return box;
  });

  const organizations = createOrganizationStore(database);
  const externalIds = createExternalIds(database);
  const webhookLog = createWebhookLog(database.sqlite, transaction);

  return {
    database,
    clock,
    bootstrap: createBootstrap(database, organizations),
    organizations,
    apiKeys: createApiKeyStore(database),
    webhooks,
    events: createEventStore(database, { externalIds, webhookLog }, issue),
    deliveries: createDeliveryStore(database, webhookLog),
    deliveryLog: createDeliveryLog(database, issue, webhookLog),
    retention: createRetention(database, { externalIds, webhookLog }),
    formatId: (id) => formatId(id, tag),
    writeId: (id, into, at) => writeId(id, tag, into, at),
    parseId: (text) => parseId(text, tag),
    newId: () => issue(),
    loadExternalIds: () => {
      try {
        externalIds.load();
      } catch (error) {
        throw isStoreFault(error) ? refusal(path, error) : error;
      }
    },
    lastId: () => last,
    saveClock: () => transaction("relaxed", () => setMeta(orm, "clock", JSON.stringify(clockState(clock)))),
    useSecretBox: (opened) => {
      box = opened;
    },
    close: () => {
      webhookLog.close();
      database.close();
    },
  };
}

function makeTag({ orm }: StoreDatabase): string {
  const existing = getMeta(orm, "installation_tag");
  if (existing) return existing;
  const tag = newInstallationTag();
  setMeta(orm, "installation_tag", tag);
  return tag;
}

function newestId({ sqlite }: StoreDatabase): number {
  const newest = (table: string): number =>
    sqlite.query<{ id: number | null }, []>(`SELECT max(id) AS id FROM ${table}`).get()?.id ?? 0;
  // What was there may have been pruned, but the marks of fresh deliveries rely on larger ids.
  const marked =
    sqlite
      .query<{ id: number | null }, []>("SELECT max(max(fresh_from - 1, tried_through)) AS id FROM webhooks")
      .get()?.id ?? 0;
  return Math.max(newest("events"), newest("deliveries"), marked);
}

/** Schedule time never goes back, also when the daemon was killed before it could write its clock down. */
function savedClock(database: StoreDatabase): ClockState | null {
  const text = getMeta(database.orm, "clock");
  const newest = newestId(database);
  if (text === null && newest === 0) return null;
  const saved: ClockState = text === null ? { offset: 0, last: 0 } : JSON.parse(text);
  return { offset: saved.offset, last: Math.max(saved.last, newest === 0 ? 0 : timeOfId(newest)) };
}
