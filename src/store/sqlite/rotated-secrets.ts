import { type AnyColumn, and, desc, eq, gt, lte, type SQL, sql } from "drizzle-orm";
import type { SecretBox } from "../../secrets/secret-box.ts";
import type { RotatedSecret } from "../webhooks.ts";
import type { Orm } from "./database.ts";
import { rotatedSecrets } from "./schema.ts";

/** The secrets that webhooks had before, while their requests carry those signatures too. All are parts of a transaction. */
export interface RotatedSecrets {
  /** Whether a row of webhooks has any, as SQL: hardly one has, and asking for none of them takes a statement. */
  has(webhookId: AnyColumn): SQL<number>;
  /** Those that still count at a wall time, the latest first. */
  running(webhook: Of, now: number): RotatedSecret[];
  /** Keeps one, sealed, until a wall time. */
  keep(webhook: Of, sealed: Buffer, expiresAt: number): void;
  /** Forgets those that no longer count at a wall time. */
  forgetExpired(webhook: Of, now: number): void;
  forgetAll(webhook: Of): void;
  /** Opens all of one webhook with `present` and seals them with `next`. */
  reseal(webhook: Of, present: SecretBox, next: SecretBox): void;
}

interface Of {
  id: number;
  uuid: string;
}

export function createRotatedSecrets(orm: Orm, box: () => SecretBox): RotatedSecrets {
  const of = ({ id }: Of) => eq(rotatedSecrets.webhookId, id);
  const running = orm
    .select()
    .from(rotatedSecrets)
    .where(
      and(
        eq(rotatedSecrets.webhookId, sql.placeholder("id")),
        gt(rotatedSecrets.expiresAt, sql.placeholder("now")),
      ),
    )
    .orderBy(desc(rotatedSecrets.id))
    .prepare();
  return {
    has: (webhookId) =>
      sql<number>`EXISTS (SELECT 1 FROM ${rotatedSecrets} WHERE ${rotatedSecrets.webhookId} = ${webhookId})`,
    running: (webhook, now) =>
      running
        .all({ id: webhook.id, now })
        .map(({ secret, expiresAt }) => ({ secret: box().open(secret, webhook.uuid), expiresAt })),
    keep: ({ id }, secret, expiresAt) => {
      orm.insert(rotatedSecrets).values({ webhookId: id, secret, expiresAt }).run();
    },
    forgetExpired: (webhook, now) => {
      orm
        .delete(rotatedSecrets)
        .where(and(of(webhook), lte(rotatedSecrets.expiresAt, now)))
        .run();
    },
    forgetAll: (webhook) => {
      orm.delete(rotatedSecrets).where(of(webhook)).run();
    },
    reseal: (webhook, present, next) => {
      for (const { id, secret } of orm.select().from(rotatedSecrets).where(of(webhook)).all()) {
        const sealed = next.seal(present.open(secret, webhook.uuid), webhook.uuid);
        orm.update(rotatedSecrets).set({ secret: sealed }).where(eq(rotatedSecrets.id, id)).run();
      }
    },
  };
}
