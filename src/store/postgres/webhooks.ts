import type { Clock } from "../../clock.ts";
import { openHeaders } from "../../secrets/sealed-headers.ts";
import type { SecretBox } from "../../secrets/secret-box.ts";
import { enabledFields, isAnotherReceiver } from "../../webhook-changes.ts";
import { newSecret, tooManyUntil } from "../../webhook-secrets.ts";
import type { RotatedSecret, TooManySecrets, Webhook, Webhooks, WebhookWithSecret } from "../webhooks.ts";
import type { PostgresDatabase } from "./database.ts";
import { type Directory, raiseVersion } from "./directory.ts";
import type { Query, Work } from "./pool.ts";
import {
  bare,
  COLUMNS,
  columnsOf,
  headerColumns,
  toWebhook,
  type Values,
  type WebhookRow,
} from "./webhook-rows.ts";

export interface WebhookParts {
  /** Throws UsageError when no secret key is loaded. */
  box: () => SecretBox;
  clock: Clock;
  directory: Directory;
  /** No id of what is pending now is above. */
  ceiling: () => number;
  /** Told after a change that others keep in memory. */
  changed: () => Promise<void>;
}

/** Hundreds of thousands would take longer than a change may: what is beyond is hastened by the daemon that sends. */
const MAKE_DUE_AT_ONCE = 50_000;
/** What is being written at this moment is left to who writes it: to wait for each other's rows would end in a deadlock. */
const MAKE_DUE = `UPDATE queue q SET due_at = $2::bigint FROM (SELECT ctid FROM queue
    WHERE webhook_id = $1 AND tried AND due_at > $2::bigint LIMIT ${MAKE_DUE_AT_ONCE} FOR UPDATE SKIP LOCKED) w WHERE q.ctid = w.ctid`;

export function createWebhooks(database: PostgresDatabase, parts: WebhookParts): Webhooks {
  const { main } = database;
  const { box, clock, directory, ceiling, changed } = parts;

  const rowOf = async (
    query: Query,
    organizationId: number,
    uuid: string,
    more = "",
  ): Promise<(Webhook & { headers: Buffer | null; secret: Buffer }) | null> => {
    const [row] = await query<WebhookRow & { headers: Buffer | null; secret: Buffer }>(
      `SELECT ${COLUMNS}, headers, secret FROM webhooks WHERE organization_id = $1 AND uuid = $2 AND deleted_at IS NULL ${more}`,
      [organizationId, uuid],
    );
    return row ? { ...toWebhook(row), headers: row.headers, secret: row.secret } : null;
  };

  const write = <T>(run: Work<T>): Promise<T> => database.write(run, changed);

  /** Changes a webhook that is locked by this transaction. */
  const change = async (query: Query, id: number, values: Values): Promise<Webhook> => {
    const all = { ...values, changed_in: await raiseVersion(query) };
    const set = Object.keys(all).map((column, i) => `${column} = $${i + 2}`);
    const [row] = await query<WebhookRow>(
      `UPDATE webhooks SET ${set.join(", ")} WHERE id = $1 RETURNING ${COLUMNS}`,
      [id, ...Object.values(all)],
    );
    return toWebhook(row as WebhookRow);
  };

  const runningSecrets = async (
    query: Query,
    id: number,
    uuid: string,
    now: number,
  ): Promise<RotatedSecret[]> => {
    const rows = await query<{ secret: Buffer; expiresAt: number }>(
      `SELECT secret, expires_at::float8 AS "expiresAt" FROM rotated_secrets
       WHERE webhook_id = $1 AND expires_at > $2 ORDER BY id DESC`,
      [id, now],
    );
    return rows.map(({ secret, expiresAt }) => ({ secret: box().open(secret, uuid), expiresAt }));
  };

  return {
    create: ({ organizationId, headers, ...input }, limit) =>
      write(async (query): Promise<WebhookWithSecret | null> => {
        const version = await raiseVersion(query);
        const [count] = await query<{ n: number }>(
          "SELECT count(*)::int4 AS n FROM webhooks WHERE organization_id = $1 AND deleted_at IS NULL",
          [organizationId],
        );
        if ((count?.n ?? 0) >= limit) return null;
        const secret = newSecret();
        const uuid = crypto.randomUUID();
        const values: Values = {
          ...columnsOf(input),
          ...(headers && headerColumns(headers, uuid, box())),
          organization_id: organizationId,
          uuid,
          secret: box().seal(secret, uuid),
          created_at: clock.wall(),
          changed_in: version,
        };
        const names = Object.keys(values);
        const [row] = await query<WebhookRow>(
          `INSERT INTO webhooks (${names.join(", ")}) VALUES (${names.map((_, i) => `$${i + 1}`).join(", ")})
           RETURNING ${COLUMNS}`,
          Object.values(values),
        );
        return { webhook: toWebhook(row as WebhookRow), secret };
      }),
    list: async (organizationId) =>
      (
        await main.query<WebhookRow>(
          `SELECT ${COLUMNS} FROM webhooks WHERE organization_id = $1 AND deleted_at IS NULL ORDER BY id DESC`,
          [organizationId],
        )
      ).map(toWebhook),
    get: async (organizationId, uuid) => {
      const row = await rowOf(main.query, organizationId, uuid);
      return row && bare(row);
    },
    update: (organizationId, uuid, { headers, ...changes }, check) =>
      write(async (query) => {
        const row = await rowOf(query, organizationId, uuid, "FOR UPDATE");
        if (!row) return null;
        const before = bare(row);
        const enabled = enabledFields(before, changes);
        const isAnother = isAnotherReceiver(before, changes);
        const fields = headers && headers(openHeaders(row, box()));
        check?.({
          ...before,
          ...changes,
          ...enabled,
          ...(fields && { headerNames: Object.keys(fields) }),
        });
        const values = {
          ...columnsOf(changes),
          ...("failureCount" in enabled && { failure_count: enabled.failureCount }),
          ...("disabledReason" in enabled && { disabled_reason: enabled.disabledReason }),
          ...(fields && headerColumns(fields, uuid, box())),
          ...(isAnother && { paused_until: null }),
        };
        if (isAnother && (changes.enabled ?? before.enabled))
          await query(MAKE_DUE, [row.id, clock.schedule()]);
        return Object.keys(values).length === 0 ? before : change(query, row.id, values);
      }),
    remove: (organizationId, uuid) =>
      write(async (query) => {
        const row = await rowOf(query, organizationId, uuid, "FOR UPDATE");
        if (!row) return null;
        await query("DELETE FROM rotated_secrets WHERE webhook_id = $1", [row.id]);
        return change(query, row.id, {
          deleted_at: clock.wall(),
          enabled: false,
          end_through: ceiling(),
          url: "",
          secret: Buffer.alloc(0),
          headers: null,
          header_names: null,
        });
      }),
    rotateSecret: (organizationId, uuid, overlapMs) =>
      write(async (query): Promise<WebhookWithSecret | TooManySecrets | null> => {
        const row = await rowOf(query, organizationId, uuid, "FOR UPDATE");
        if (!row) return null;
        const now = clock.wall();
        await query("DELETE FROM rotated_secrets WHERE webhook_id = $1 AND expires_at <= $2", [row.id, now]);
        const before = await runningSecrets(query, row.id, uuid, now);
        const until = tooManyUntil(before, overlapMs);
        if (until !== null) return { tooManyUntil: until };
        if (overlapMs > 0) {
          await query("INSERT INTO rotated_secrets (webhook_id, secret, expires_at) VALUES ($1, $2, $3)", [
            row.id,
            row.secret,
            now + overlapMs,
          ]);
        }
        const secret = newSecret();
        return { webhook: await change(query, row.id, { secret: box().seal(secret, uuid) }), secret };
      }),
    load: async (id) => {
      const [row] = await main.query<
        WebhookRow & {
          organizationUuid: string;
          secret: Buffer;
          headers: Buffer | null;
          pausedUntil: number | null;
        }
      >(
        `SELECT w.*, o.uuid AS "organizationUuid" FROM (SELECT ${COLUMNS}, secret, headers, paused_until::float8 AS "pausedUntil"
         FROM webhooks WHERE id = $1 AND deleted_at IS NULL) w JOIN organizations o ON o.id = w."organizationId"`,
        [id],
      );
      if (!row) return null;
      const { organizationUuid, secret, headers, pausedUntil, ...webhook } = row;
      return {
        webhook: toWebhook(webhook),
        organizationUuid,
        secret: box().open(secret, row.uuid),
        rotatedSecrets: await runningSecrets(main.query, id, row.uuid, clock.wall()),
        headers: openHeaders({ headers, uuid: row.uuid }, box()),
        pausedUntil,
      };
    },
    all: async () =>
      (
        await main.query<WebhookRow>(`SELECT ${COLUMNS} FROM webhooks WHERE deleted_at IS NULL ORDER BY id`)
      ).map(toWebhook),
    subscribers: directory.subscribers,
  };
}
