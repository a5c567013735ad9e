import { randomBytes } from "node:crypto";
import { and, asc, count, desc, eq, isNotNull, isNull } from "drizzle-orm";
import type { WebhookFormat } from "../../formats.ts";
import type { SecretBox } from "../secret-box.ts";
import type { StoreDatabase } from "./database.ts";
import { EVENT_TYPES, type EventType, organizations, webhooks } from "./schema.ts";

export type WebhookRow = typeof webhooks.$inferSelect;

/** A webhook as the API shows it: never its secret. */
export type Webhook = Omit<WebhookRow, "secret" | "previousSecret">;

export interface NewWebhook {
  organizationId: number;
  url: string;
  events: EventType[];
  format: WebhookFormat;
  now: number;
}

export interface WebhookChanges {
  url?: string;
  events?: EventType[];
  format?: WebhookFormat;
  enabled?: boolean;
}

export interface LoadedWebhook {
  webhook: Webhook;
  organizationUuid: string;
  secret: string;
  /** The secret before the latest rotation. */
  previousSecret: string | null;
}

export interface WebhookStore {
  create(input: NewWebhook): { webhook: Webhook; secret: string };
  list(organizationId: number): Webhook[];
  count(organizationId: number): number;
  /** Null for an unknown id and for another organization's alike. */
  get(organizationId: number, uuid: string): Webhook | null;
  update(organizationId: number, uuid: string, changes: WebhookChanges): Webhook | null;
  /** Takes the webhook out of service and wipes its URL and secret; its deliveries stay to be looked at. */
  remove(organizationId: number, uuid: string, at: { now: number; lastId: number }): Webhook | null;
  rotateSecret(
    organizationId: number,
    uuid: string,
    overlapUntil: number,
  ): { webhook: Webhook; secret: string } | null;
  /** Forgets cached subscriptions after the delivery engine has disabled a webhook. */
  forgetSubscriptions(): void;
  /** What the delivery engine needs; null when deleted. */
  load(id: number): LoadedWebhook | null;
  /** The public id, of a deleted webhook too. */
  uuidOf(id: number): string;
  /** Every webhook that may have deliveries to finish, deleted ones included. */
  all(): Webhook[];
  /** Ids of the enabled webhooks of an organization that subscribe to a type (its position in EVENT_TYPES). */
  subscribers(organizationId: number, type: number): readonly number[];
  /** The key id that the stored secrets are sealed with; null when there are none. */
  anySealedSecret(): Uint8Array | null;
  /** Opens every secret with the present key and seals it with another, in one transaction. */
  reseal(next: SecretBox): number;
}

/** 64 lower-case hex digits from 32 random bytes (CONTRACT, section 4). */
function newSecret(): string {
  return randomBytes(32).toString("hex");
}

function withoutSecrets({ secret: _secret, previousSecret: _previous, ...webhook }: WebhookRow): Webhook {
  return webhook;
}

export function createWebhookStore(database: StoreDatabase, box: () => SecretBox): WebhookStore {
  const { orm, transaction } = database;
  const subscriptions = createSubscriptionCache(database);

  const owned = (organizationId: number, uuid: string) =>
    and(eq(webhooks.organizationId, organizationId), eq(webhooks.uuid, uuid), isNull(webhooks.deletedAt));

  /** Every write goes through here, so that no cached subscription outlives it. */
  const write = <T>(run: () => T): T => {
    const result = transaction("durable", run);
    subscriptions.clear();
    return result;
  };

  const change = (organizationId: number, uuid: string, values: Partial<WebhookRow>): Webhook | null => {
    const row = orm.update(webhooks).set(values).where(owned(organizationId, uuid)).returning().get();
    return row ? withoutSecrets(row) : null;
  };

  const get = (organizationId: number, uuid: string): Webhook | null => {
    const row = orm.select().from(webhooks).where(owned(organizationId, uuid)).get();
    return row ? withoutSecrets(row) : null;
  };

  const live = (organizationId: number) =>
    and(eq(webhooks.organizationId, organizationId), isNull(webhooks.deletedAt));

  return {
    get,
    subscribers: subscriptions.get,
    create: ({ now, ...input }) => {
      const secret = newSecret();
      const uuid = crypto.randomUUID();
      const sealed = box().seal(secret, uuid);
      const row = write(() =>
        orm
          .insert(webhooks)
          .values({ ...input, uuid, secret: sealed, createdAt: now })
          .returning()
          .get(),
      );
      return { webhook: withoutSecrets(row), secret };
    },
    list: (organizationId) =>
      orm
        .select()
        .from(webhooks)
        .where(live(organizationId))
        .orderBy(desc(webhooks.id))
        .all()
        .map(withoutSecrets),
    count: (organizationId) =>
      orm.select({ n: count() }).from(webhooks).where(live(organizationId)).get()?.n ?? 0,
    update: (organizationId, uuid, changes) =>
      write(() => {
        const before = get(organizationId, uuid);
        if (!before || Object.keys(changes).length === 0) return before;
        return change(organizationId, uuid, { ...changes, ...enabledFields(before, changes) });
      }),
    remove: (organizationId, uuid, { now, lastId }) =>
      write(() => {
        const before = get(organizationId, uuid);
        const wiped = {
          deletedAt: now,
          enabled: false,
          endThrough: lastId,
          url: "",
          secret: Buffer.alloc(0),
          previousSecret: null,
        };
        return before && change(organizationId, uuid, wiped);
      }),
    rotateSecret: (organizationId, uuid, overlapUntil) => {
      const secret = newSecret();
      const webhook = write(() => {
        const row = orm.select().from(webhooks).where(owned(organizationId, uuid)).get();
        if (!row) return null;
        return change(organizationId, uuid, {
          secret: box().seal(secret, uuid),
          previousSecret: row.secret,
          previousSecretExpiresAt: overlapUntil,
        });
      });
      return webhook && { webhook, secret };
    },
    forgetSubscriptions: subscriptions.clear,
    load: (id) => {
      const row = orm
        .select({ webhook: webhooks, organizationUuid: organizations.uuid })
        .from(webhooks)
        .innerJoin(organizations, eq(organizations.id, webhooks.organizationId))
        .where(and(eq(webhooks.id, id), isNull(webhooks.deletedAt)))
        .get();
      if (!row) return null;
      const { uuid, secret, previousSecret } = row.webhook;
      return {
        webhook: withoutSecrets(row.webhook),
        organizationUuid: row.organizationUuid,
        secret: box().open(secret, uuid),
        previousSecret: previousSecret && box().open(previousSecret, uuid),
      };
    },
    uuidOf: (id) =>
      orm.select({ uuid: webhooks.uuid }).from(webhooks).where(eq(webhooks.id, id)).get()?.uuid ?? "",
    all: () => orm.select().from(webhooks).orderBy(asc(webhooks.id)).all().map(withoutSecrets),
    anySealedSecret: () =>
      orm.select({ secret: webhooks.secret }).from(webhooks).where(isNull(webhooks.deletedAt)).limit(1).get()
        ?.secret ?? null,
    reseal: (next) => {
      const present = box();
      const again = (sealed: Uint8Array, uuid: string) => next.seal(present.open(sealed, uuid), uuid);
      return write(() => {
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
function enabledFields(before: Webhook, { enabled }: WebhookChanges): Partial<WebhookRow> {
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
