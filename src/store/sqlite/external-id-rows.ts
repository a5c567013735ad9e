import type { Database } from "bun:sqlite";

/** A run of external ids, written when so many had come; ids of runs ascend. */
export interface Run {
  id: number;
  firstEventId: number;
  lastEventId: number;
}

export interface NamedEvent {
  id: number;
  organizationId: number;
  externalId: string;
}

/** The parts of a run, by the upper bits of a hash. */
export const BUCKETS = 256;
export const BUCKET_SHIFT = 24;

/** An entry of a bucket: a hash, then its event's id as a double. */
export const HASH_BYTES = 4;
export const ENTRY_BYTES = HASH_BYTES + 8;

const NO_ENTRIES = new DataView(new ArrayBuffer(0));

/** The statements behind ExternalIds. */
export function prepareExternalIdRows(sqlite: Database) {
  const runs = sqlite.prepare<Run, []>(
    "SELECT id, first_event_id AS firstEventId, last_event_id AS lastEventId FROM external_id_runs ORDER BY id",
  );
  const filters = sqlite.prepare<{ id: number; bits: Uint8Array }, []>(
    "SELECT id, bits FROM external_id_filters ORDER BY id",
  );
  const bucket = sqlite.prepare<{ entries: Uint8Array }, [number]>(
    "SELECT entries FROM external_id_buckets WHERE id = ?",
  );
  const named = sqlite.prepare<NamedEvent, [number, number]>(
    `SELECT id, organization_id AS organizationId, external_id AS externalId FROM events INDEXED BY events_named
     WHERE external_id IS NOT NULL AND id > ? ORDER BY id LIMIT ?`,
  );
  const isNamed = sqlite.prepare<{ one: number }, [number, number, string]>(
    "SELECT 1 AS one FROM events WHERE id = ? AND organization_id = ? AND external_id = ?",
  );
  const anyEvent = sqlite.prepare<{ one: number }, [number, number]>(
    "SELECT 1 AS one FROM events WHERE id BETWEEN ? AND ? LIMIT 1",
  );
  const insertRun = sqlite.prepare(
    "INSERT INTO external_id_runs (id, first_event_id, last_event_id) VALUES (?, ?, ?)",
  );
  const insertBucket = sqlite.prepare("INSERT INTO external_id_buckets (id, entries) VALUES (?, ?)");
  const insertFilter = sqlite.prepare("INSERT INTO external_id_filters (id, bits) VALUES (?, ?)");
  const dropRun = sqlite.prepare("DELETE FROM external_id_runs WHERE id = ?");
  const dropBuckets = sqlite.prepare("DELETE FROM external_id_buckets WHERE id BETWEEN ? AND ?");
  const dropFilter = sqlite.prepare("DELETE FROM external_id_filters WHERE id = ?");

  return {
    runs: () => runs.all(),
    filters: () => filters.iterate(),
    bucket(runId: number, number: number): DataView {
      const entries = bucket.get(runId * BUCKETS + number)?.entries;
      return entries ? new DataView(entries.buffer, entries.byteOffset, entries.byteLength) : NO_ENTRIES;
    },
    named: (afterId: number, limit: number) => named.all(afterId, limit),
    isNamed: (id: number, organizationId: number, externalId: string) =>
      isNamed.get(id, organizationId, externalId) !== null,
    anyEvent: ({ firstEventId, lastEventId }: Run) => anyEvent.get(firstEventId, lastEventId) !== null,
    insertRun({ id, firstEventId, lastEventId }: Run, buckets: readonly Uint8Array[]) {
      insertRun.run(id, firstEventId, lastEventId);
      for (const [number, entries] of buckets.entries()) insertBucket.run(id * BUCKETS + number, entries);
    },
    insertFilter: (id: number, bits: Uint8Array) => insertFilter.run(id, bits),
    dropRun(id: number) {
      dropRun.run(id);
      dropBuckets.run(id * BUCKETS, id * BUCKETS + BUCKETS - 1);
    },
    dropFilter: (id: number) => dropFilter.run(id),
  };
}
