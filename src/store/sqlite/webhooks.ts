import { and, asc, count, desc, eq, isNull, sql } from "drizzle-orm";
import type { Clock } from "../../clock.ts";
import { openHeaders, resealHeaders, sealHeaders } from "../../secrets/sealed-headers.ts";
import type { SecretBox } from "../../secrets/secret-box.ts";
import { enabledFields, isAnotherReceiver } from "../../webhook-changes.ts";
import { newSecret, tooManyUntil } from "../../webhook-secrets.ts";
import type { LoadedWebhook, TooManySecrets, Webhook, Webhooks, WebhookWithSecret } from "../webhooks.ts";
import type { StoreDatabase } from "./database.ts";
import { promised } from "./faults.ts";
import { createRotatedSecrets } from "./rotated-secrets.ts";
import { organizations, TRIED, webhooks } from "./schema.ts";
import { createSubscriptions } from "./subscriptions.ts";

type WebhookRow = typeof webhooks.$inferSelect;

export interface SqliteWebhooks extends Webhooks {
  /** Forgets cached subscriptions, once a webhook was disabled with an attempt. */
  forgetSubscriptions(): void;
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
    name: row.name,
    filter: row.filter,
    rateLimitPerMinute: row.rateLimitPerMinute,
    group: row.grouped,
    headerNames: row.headerNames ?? [],
    createdAt: row.createdAt,
  };
}

/** To make hundreds of thousands due would hold everything up: what is beyond is hastened by the engine. */
const MAKE_DUE_AT_ONCE = 50_000;

export function createWebhooks(
  database: StoreDatabase,
  { box, clock, lastId }: WebhookParts,
): SqliteWebhooks {
  const { orm, sqlite, transaction } = database;
  const subscriptions = createSubscriptions(database);
  const rotated = createRotatedSecrets(orm, box);

  const live = (organizationId: number) =>
    and(eq(webhooks.organizationId, organizationId), isNull(webhooks.deletedAt));
  const owned = (organizationId: number, uuid: string) => and(live(organizationId), eq(webhooks.uuid, uuid));

  const rowOf = (organizationId: number, uuid: string): WebhookRow | null =>
    orm.select().from(webhooks).where(owned(organizationId, uuid)).get() ?? null;

  const countOf = (organizationId: number): number =>
    orm.select({ n: count() }).from(webhooks).where(live(organizationId)).get()?.n ?? 0;

  /** Every write goes through here, so that no cached subscription outlives it. */
  const write = <T>(organizationId: number, run: () => T): Promise<T> =>
    promised(() => writeNow(run, organizationId));
  const writeNow = <T>(run: () => T, organizationId?: number): T => {
    const result = transaction("durable", run);
    subscriptions.clear(organizationId);
    return result;
  };

  const makeDue = sqlite.prepare(
    `UPDATE deliveries SET next_attempt_at = ?2 WHERE id IN (
       SELECT id FROM deliveries INDEXED BY deliveries_waiting
       WHERE webhook_id = ?1 AND ${TRIED} AND next_attempt_at > ?2 LIMIT ${MAKE_DUE_AT_ONCE})`,
  );

  const change = ({ id }: WebhookRow, values: Partial<WebhookRow>): Webhook =>
    toWebhook(orm.update(webhooks).set(values).where(eq(webhooks.id, id)).returning().get());

  // Prepared, as it is asked for each webhook that has something to do, of which there may be ten thousands.
  const loaded = orm
    .select({ webhook: webhooks, organizationUuid: organizations.uuid, hasRotated: rotated.has(webhooks.id) })
    .from(webhooks)
    .innerJoin(organizations, eq(organizations.id, webhooks.organizationId))
    .where(and(eq(webhooks.id, sql.placeholder("id")), isNull(webhooks.deletedAt)))
    .prepare();
  const load = (id: number): LoadedWebhook | null => {
    const row = loaded.get({ id });
    if (!row) return null;
    return {
      webhook: toWebhook(row.webhook),
      organizationUuid: row.organizationUuid,
      secret: box().open(row.webhook.secret, row.webhook.uuid),
      rotatedSecrets: row.hasRotated ? rotated.running(row.webhook, clock.wall()) : [],
      headers: openHeaders(row.webhook, box()),
      pausedUntil: row.webhook.pausedUntil,
    };
  };

  return {
    create: ({ headers, group, ...input }, limit) =>
      write(input.organizationId, (): WebhookWithSecret | null => {
        if (countOf(input.organizationId) >= limit) return null;
        const secret = newSecret();
        const uuid = crypto.randomUUID();
        const values = {
          ...input,
          ...(group !== undefined && { grouped: group }),
          ...(headers && sealHeaders(headers, uuid, box())),
          uuid,
          secret: box().seal(secret, uuid),
          createdAt: clock.wall(),
        };
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
    update: (organizationId, uuid, { headers, group, ...changes }, check) =>
      write(organizationId, () => {
        const row = rowOf(organizationId, uuid);
        if (!row) return null;
        const isAnother = isAnotherReceiver(row, changes);
        const values: Partial<WebhookRow> = {
          ...changes,
          ...(group !== undefined && { grouped: group }),
          ...(headers && sealHeaders(headers(openHeaders(row, box())), uuid, box())),
          ...enabledFields(row, changes),
          ...(isAnother && { pausedUntil: null }),
        };
        check?.(toWebhook({ ...row, ...values }));
        if (isAnother && (changes.enabled ?? row.enabled)) makeDue.run(row.id, clock.schedule());
        return Object.keys(values).length === 0 ? toWebhook(row) : change(row, values);
      }),
    remove: (organizationId, uuid) =>
      write(organizationId, () => {
        const row = rowOf(organizationId, uuid);
        if (!row) return null;
        rotated.forgetAll(row);
        return change(row, {
          deletedAt: clock.wall(),
          enabled: false,
          endThrough: lastId(),
          url: "",
          secret: Buffer.alloc(0),
          headers: null,
          headerNames: null,
        });
      }),
    rotateSecret: (organizationId, uuid, overlapMs) =>
      write(organizationId, (): WebhookWithSecret | TooManySecrets | null => {
        const row = rowOf(organizationId, uuid);
        if (!row) return null;
        const now = clock.wall();
        rotated.forgetExpired(row, now);
        const before = rotated.running(row, now);
        const until = tooManyUntil(before, overlapMs);
        if (until !== null) return { tooManyUntil: until };
        if (overlapMs > 0) rotated.keep(row, row.secret, now + overlapMs);
        const secret = newSecret();
        return { webhook: change(row, { secret: box().seal(secret, uuid) }), secret };
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
    subscribers: subscriptions.get,
    forgetSubscriptions: subscriptions.clear,
    reseal: (next) => {
      const present = box();
      return writeNow(() => {
        const rows = orm.select().from(webhooks).where(isNull(webhooks.deletedAt)).all();
        for (const row of rows) {
          const values = {
            secret: next.seal(present.open(row.secret, row.uuid), row.uuid),
            headers: resealHeaders(row, present, next),
          };
          orm.update(webhooks).set(values).where(eq(webhooks.id, row.id)).run();
          rotated.reseal(row, present, next);
        }
        return rows.length;
      });
    },
  };
}
