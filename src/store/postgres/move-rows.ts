import { DELIVERED, FAILED, PENDING } from "../common/delivery-row.ts";
import type { LargeTable, SourceRow } from "../move.ts";
import type { Query } from "./pool.ts";
import { storable } from "./text.ts";

/** `offset`: schedule time minus wall time, where the rows come from. */
type Write = (query: Query, rows: readonly SourceRow[], offset: number) => Promise<void>;

const column = (rows: readonly SourceRow[], name: string): unknown[] => rows.map((row) => row[name] ?? null);
const texts = (rows: readonly SourceRow[], name: string): unknown[] =>
  rows.map((row) => storable((row[name] as string | null) ?? null));

/** Writes rows of the large tables, as SQLite has them, in the order of their ids. */
export const WRITE: Record<LargeTable, Write> = {
  async events(query, rows) {
    await query(
      `INSERT INTO events (id, organization_id, external_id, type, body, received_at)
       SELECT * FROM unnest($1::bigint[], $2::int[], $3::text[], $4::smallint[], $5::text[], $6::bigint[])`,
      ["id", "organization_id", "external_id", "type", "body", "received_at"].map((name) =>
        column(rows, name),
      ),
    );
    const named = rows.filter((row) => row["external_id"] !== null);
    await query(
      `INSERT INTO external_ids (organization_id, external_id, event_id)
       SELECT * FROM unnest($1::int[], $2::text[], $3::bigint[]) ON CONFLICT DO NOTHING`,
      ["organization_id", "external_id", "id"].map((name) => column(named, name)),
    );
  },

  async deliveries(query, rows, offset) {
    const pending = rows.filter(({ status }) => status === PENDING);
    await query(
      `INSERT INTO queue (webhook_id, id, event_id, attempt_count, budget_from, due_at, tried, created_at,
         last_status, last_error, last_detail, last_started_at)
       SELECT webhook_id, id, event_id, attempt_count, budget_from, coalesce(due_at, 0) - $11::bigint,
         attempt_count > 0 OR last_error IS NOT NULL, created_at, last_status, last_error, last_detail, last_started_at
       FROM unnest($1::int[], $2::bigint[], $3::bigint[], $4::int[], $5::int[], $6::bigint[], $7::bigint[],
         $8::int[], $9::text[], $10::text[], $12::bigint[])
         AS t(webhook_id, id, event_id, attempt_count, budget_from, due_at, created_at, last_status, last_error, last_detail, last_started_at)`,
      [
        ...[
          "webhook_id",
          "id",
          "event_id",
          "attempt_count",
          "budget_from",
          "next_attempt_at",
          "created_at",
          "last_status",
          "last_error",
        ].map((name) => column(pending, name)),
        texts(pending, "last_detail"),
        offset,
        column(pending, "last_started_at"),
      ],
    );
    // The latest attempt of one that is pending lies with those before.
    await writeAttempts(
      query,
      pending
        .filter((row) => row["last_started_at"] !== null)
        .map((row) => ({
          delivery_id: row["id"] ?? null,
          number: row["attempt_count"] ?? null,
          started_at: row["last_started_at"] ?? null,
          duration_ms: row["last_duration_ms"] ?? null,
          status: row["last_status"] ?? null,
          error: row["last_error"] ?? null,
          detail: row["last_detail"] ?? null,
          response_excerpt: row["last_excerpt"] ?? null,
        })),
    );
    const finished = rows.filter(({ status }) => status === DELIVERED || status === FAILED);
    await query(
      `INSERT INTO deliveries (webhook_id, id, event_id, status, attempt_count, budget_from, created_at, finished_at,
         last_status, last_error, last_started_at, last_duration_ms, last_detail, last_excerpt)
       SELECT * FROM unnest($1::int[], $2::bigint[], $3::bigint[], $4::smallint[], $5::int[], $6::int[], $7::bigint[],
         $8::bigint[], $9::int[], $10::text[], $11::bigint[], $12::int[], $13::text[], $14::text[])`,
      [
        ...["webhook_id", "id", "event_id", "status", "attempt_count", "budget_from", "created_at"].map(
          (name) => column(finished, name),
        ),
        finished.map((row) => row["finished_at"] ?? row["created_at"]),
        ...["last_status", "last_error", "last_started_at", "last_duration_ms"].map((name) =>
          column(finished, name),
        ),
        texts(finished, "last_detail"),
        texts(finished, "last_excerpt"),
      ],
    );
  },

  attempts: (query, rows) => writeAttempts(query, rows),
};

async function writeAttempts(query: Query, rows: readonly SourceRow[]): Promise<void> {
  if (rows.length === 0) return;
  await query(
    `INSERT INTO attempts (delivery_id, number, started_at, duration_ms, status, error, detail, response_excerpt)
     SELECT * FROM unnest($1::bigint[], $2::int[], $3::bigint[], $4::int[], $5::int[], $6::text[], $7::text[], $8::text[])
     ON CONFLICT DO NOTHING`,
    [
      ...["delivery_id", "number", "started_at", "duration_ms", "status", "error"].map((name) =>
        column(rows, name),
      ),
      texts(rows, "detail"),
      texts(rows, "response_excerpt"),
    ],
  );
}
