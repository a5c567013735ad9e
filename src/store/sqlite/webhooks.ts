import { randomBytes } from "node:crypto";
import { and, asc, count, desc, eq, isNotNull, isNull } from "drizzle-orm";
import type { Clock } from "../../clock.ts";
import { EVENT_TYPES } from "../../event-types.ts";
import type { SecretBox } from "../../secrets/secret-box.ts";
import type { LoadedWebhook, Webhook, WebhookChanges, Webhooks, WebhookWithSecret } from "../webhooks.ts";
import type { StoreDatabase } from "./database.ts";
import { promised } from "./faults.ts";
import { organizations, webhooks } from "./schema.ts";

export type { Webhook };

type WebhookRow = typeof webhooks.$inferSelect;

/** A webhook as the delivery engine finds it at its start, also a deleted one. */
export interface EngineWebhook extends Webhook {
  deletedAt: number | null;
  /** While its pending deliveries up to this id are being ended. */
  endThrough: number | null;
}

/** What the delivery engine asks without waiting. */
export interface EngineWebhooks {
  /** What an attempt needs; null when deleted. */
  load(id: number): LoadedWebhook | null;
  /** The public id, of a deleted webhook too; empty when there is none. */
  uuidOf(id: number): string;
  /** Every webhook that may have deliveries to finish, deleted ones included. */
  all(): EngineWebhook[];
  /** Ids of the enabled webhooks of an organization that subscribe to a type (its position in EVENT_TYPES). */
  subscribers(organizationId: number, type: number): readonly number[];
  /** Forgets cached subscriptions after the delivery engine has disabled a webhook. */
  forgetSubscriptions(): void;
}

export interface SqliteWebhooks extends Webhooks {
  engine: EngineWebhooks;
  /** Opens every secret with the present key and seals it with another, in one transaction; answers how many webhooks that were. */
  reseal(next: SecretBox): number;
}

export interface WebhookParts {
  /** Throws UsageError when no secret key is loaded. */
  box: () => SecretBox;
  clock: Clock;
  /** The latest id that was given: what is pending now has ids up to this one. */
  lastId: () => number;
}

/** 64 lower-case hex digits from 32 random bytes (CONTRACT, section 4). */
function newSecret(): string {
  return randomBytes(32).toString("hex");
}

/** A row without its secrets, and without what only the store needs to know. */
function toWebhook(row: WebhookRow): Webhook {
  return {
    id: row.id,
    uuid: row.uuid,
    organizationId: row.organizationId,
    url: row.url,
    events: row.events,
    format: row.format,
    enabled: row.enabled,
    disabledReason: row.disabledReason,
    failureCount: row.failureCount,
    lastTriggeredAt: row.lastTriggeredAt,
    lastSuccessAt: row.lastSuccessAt,
    previousSecretExpiresAt: row.previousSecretExpiresAt,
    createdAt: row.createdAt,
  };
}

export function createWebhooks(
  database: StoreDatabase,
  { box, clock, lastId }: WebhookParts,
): SqliteWebhooks {
  const { orm, transaction } = database;
  const subscriptions = createSubscriptionCache(database);

  const live = (organizationId: number) =>
    and(eq(webhooks.organizationId, organizationId), isNull(webhooks.deletedAt));
  const owned = (organizationId: number, uuid: string) => and(live(organizationId), eq(webhooks.uuid, uuid));

  const rowOf = (organizationId: number, uuid: string): WebhookRow | null =>
    orm.select().from(webhooks).where(owned(organizationId, uuid)).get() ?? null;

  const countOf = (organizationId: number): number =>
    orm.select({ n: count() }).from(webhooks).where(live(organizationId)).get()?.n ?? 0;

  /** Every write goes through here, so that no cached subscription outlives it. */
  const write = <T>(run: () => T): Promise<T> => promised(() => writeNow(run));
  const writeNow = <T>(run: () => T): T => {
    const result = transaction("durable", run);
    subscriptions.clear();
    return result;
  };

  const change = ({ id }: WebhookRow, values: Partial<WebhookRow>): Webhook =>
    toWebhook(orm.update(webhooks).set(values).where(eq(webhooks.id, id)).returning().get());

  const load = (id: number): LoadedWebhook | null => {
    const row = orm
      .select({ webhook: webhooks, organizationUuid: organizations.uuid })
      .from(webhooks)
      .innerJoin(organizations, eq(organizations.id, webhooks.organizationId))
      .where(and(eq(webhooks.id, id), isNull(webhooks.deletedAt)))
      .get();
    if (!row) return null;
    const { uuid, secret, previousSecret } = row.webhook;
    return {
      webhook: toWebhook(row.webhook),
      organizationUuid: row.organizationUuid,
      secret: box().open(secret, uuid),
      previousSecret: previousSecret && box().open(previousSecret, uuid),
    };
  };

  return {
    create: (input, limit) =>
      write((): WebhookWithSecret | null => {
        if (countOf(input.organizationId) >= limit) return null;
        const secret = newSecret();
        const uuid = crypto.randomUUID();
        const values = { ...input, uuid, secret: box().seal(secret, uuid), createdAt: clock.wall() };
        return { webhook: toWebhook(orm.insert(webhooks).values(values).returning().get()), secret };
      }),
    list: (organizationId) =>
      promised(() =>
        orm
          .select()
          .from(webhooks)
          .where(live(organizationId))
          .orderBy(desc(webhooks.id))
          .all()
          .map(toWebhook),
      ),
    get: (organizationId, uuid) =>
      promised(() => {
        const row = rowOf(organizationId, uuid);
        return row && toWebhook(row);
      }),
    update: (organizationId, uuid, changes, check) =>
      write(() => {
        const row = rowOf(organizationId, uuid);
        if (!row) return null;
        const values = { ...changes, ...enabledFields(row, changes) };
        check?.({ ...toWebhook(row), ...values });
        return Object.keys(values).length === 0 ? toWebhook(row) : change(row, values);
      }),
    remove: (organizationId, uuid) =>
      write(() => {
        const row = rowOf(organizationId, uuid);
        if (!row) return null;
        return change(row, {
          deletedAt: clock.wall(),
          enabled: false,
          endThrough: lastId(),
          url: "",
          secret: Buffer.alloc(0),
          previousSecret: null,
        });
      }),
    rotateSecret: (organizationId, uuid, overlapUntil) =>
      write((): WebhookWithSecret | null => {
        const row = rowOf(organizationId, uuid);
        if (!row) return null;
        const secret = newSecret();
        const webhook = change(row, {
          secret: box().seal(secret, uuid),
          previousSecret: row.secret,
          previousSecretExpiresAt: overlapUntil,
        });
        return { webhook, secret };
      }),
    load: (id) => promised(() => load(id)),
    all: () =>
      promised(() =>
        orm
          .select()
          .from(webhooks)
          .where(isNull(webhooks.deletedAt))
          .orderBy(asc(webhooks.id))
          .all()
          .map(toWebhook),
      ),
    engine: {
      load,
      uuidOf: (id) =>
        orm.select({ uuid: webhooks.uuid }).from(webhooks).where(eq(webhooks.id, id)).get()?.uuid ?? "",
      all: () =>
        orm
          .select()
          .from(webhooks)
          .orderBy(asc(webhooks.id))
          .all()
          .map((row) => ({ ...toWebhook(row), deletedAt: row.deletedAt, endThrough: row.endThrough })),
      subscribers: subscriptions.get,
      forgetSubscriptions: subscriptions.clear,
    },
    reseal: (next) => {
      const present = box();
      const again = (sealed: Uint8Array, uuid: string) => next.seal(present.open(sealed, uuid), uuid);
      return writeNow(() => {
        const rows = orm.select().from(webhooks).where(isNull(webhooks.deletedAt)).all();
        for (const { id, uuid, secret, previousSecret } of rows) {
          const values = {
            secret: again(secret, uuid),
            previousSecret: previousSecret && again(previousSecret, uuid),
          };
          orm.update(webhooks).set(values).where(eq(webhooks.id, id)).run();
        }
        return rows.length;
      });
    },
  };
}

/** Turning a webhook on forgives its failures; turning it off notes who did. */
function enabledFields(before: WebhookRow, { enabled }: WebhookChanges): Partial<WebhookRow> {
  if (enabled === undefined || enabled === before.enabled) return {};
  return enabled ? { failureCount: 0, disabledReason: null } : { disabledReason: "owner" };
}

interface SubscriptionCache {
  get(organizationId: number, type: number): readonly number[];
  clear(): void;
}

const NOBODY: readonly number[] = [];

/** Who gets what is asked for every event and changes rarely; only this process writes webhooks while it runs. */
function createSubscriptionCache({ orm }: StoreDatabase): SubscriptionCache {
  let cache: Map<number, number[][]> | null = null;

  const build = (): Map<number, number[][]> => {
    const built = new Map<number, number[][]>();
    const enabled = and(eq(webhooks.enabled, true), isNull(webhooks.deletedAt), isNotNull(webhooks.events));
    for (const row of orm.select().from(webhooks).where(enabled).orderBy(asc(webhooks.id)).all()) {
      const byType = built.get(row.organizationId) ?? EVENT_TYPES.map(() => []);
      built.set(row.organizationId, byType);
      for (const event of row.events) byType[EVENT_TYPES.indexOf(event)]?.push(row.id);
    }
    return built;
  };

  return {
    get: (organizationId, type) => {
      cache ??= build();
      return cache.get(organizationId)?.[type] ?? NOBODY;
    },
    clear: () => {
      cache = null;
    },
  };
}
