import { randomBytes } from "node:crypto";
import type { StoreDatabase } from "./database.ts";
import { findInBucket, forEachHash, toBuckets } from "./external-id-bucket.ts";
import { createHash, type HashId } from "./external-id-hash.ts";
import {
  BUCKET_SHIFT,
  BUCKETS,
  type NamedEvent,
  prepareExternalIdRows,
  type Run,
} from "./external-id-rows.ts";
import { isSqliteFault } from "./faults.ts";
import { getMeta, setMeta } from "./meta.ts";
import type { Participant } from "./participant.ts";
import { createRecentIds, type RecentIds } from "./recent-ids.ts";
import { createRunFilter, RUNS_IN_FILTER, type RunFilter } from "./run-filter.ts";

/**
 * Which event has which scanner's id. An index over all of them would be written at a random page for each
 * event, and cost more the more events there are. Instead, as in a log-structured merge tree:
 * - the latest ids are in memory, by hash, and found again in `events` after a restart;
 * - when there are RUN_SIZE of them, they are written as one run, in BUCKETS rows by the upper bits of their hashes;
 * - a filter in memory (about 3 bytes for each id) tells which runs may hold a hash, so that a new id hardly ever reads one.
 * Only the event itself says whether an id is really its own, so hashes may collide.
 */
export interface ExternalIds extends Participant {
  /** Reads what must be in memory, unless that was done. Not within a transaction; before anything else is called. */
  load(): void;
  /**
   * Gives an id to an event that is about to be stored, within a transaction. If another event of the
   * organization has it, answers that one; otherwise null.
   */
  claim(event: NamedEvent): number | null;
  /** The event of an organization that has an id; null when there is none. */
  find(organizationId: number, externalId: string): number | null;
  /** The transaction was committed: writes a run if one is full. */
  committed(): void;
  /** The transaction was rolled back: forgets what was claimed in it. */
  rolledBack(): void;
  /** Forgets the oldest run if none of its events is left. Answers whether it did. */
  dropOldRun(): boolean;
}

export interface ExternalIdsOptions {
  /** Ids of one run; for tests. */
  runSize?: number;
}

/** Ids of a run: a bucket, which is looked through from end to end, holds 192 then. */
const RUN_SIZE = 49_152;
const FIRST_RUN = 0;
/** Events read at once while loading. */
const LOAD_STEP = 10_000;

interface Loaded {
  recent: RecentIds;
  /** How many of the recent ones are in the table for good. */
  committed: number;
  runs: Run[];
  /** By number: run 70 is in filter 2. */
  filters: Map<number, RunFilter>;
  hashOf: HashId;
}

const filterOf = (runId: number): number => Math.floor(runId / RUNS_IN_FILTER);
const placeInFilter = (runId: number): number => runId % RUNS_IN_FILTER;
const completesFilter = (runId: number): boolean => placeInFilter(runId) === RUNS_IN_FILTER - 1;

export function createExternalIds(
  { sqlite, orm, transaction }: StoreDatabase,
  { runSize = RUN_SIZE }: ExternalIdsOptions = {},
): ExternalIds {
  const rows = prepareExternalIdRows(sqlite);
  let loaded: Loaded | null = null;

  // ── what is in memory ─────────────────────────────────────────────────────────────────────────────

  const load = (): void => {
    if (loaded) return;
    const state: Loaded = {
      recent: createRecentIds(),
      committed: 0,
      runs: rows.runs(),
      filters: new Map(),
      hashOf: createHash(readSeed()),
    };
    loadFilters(state);
    loadRecent(state);
    loaded = state;
  };

  const inMemory = (): Loaded => {
    if (!loaded) throw new Error("external ids are used before they are loaded");
    return loaded;
  };

  /** Nobody who does not know it can choose ids whose hashes collide. */
  const readSeed = (): bigint => {
    const known = getMeta(orm, "external_id_seed");
    const seed = known ?? randomBytes(8).toString("hex");
    if (known === null) transaction("durable", () => setMeta(orm, "external_id_seed", seed));
    return BigInt(`0x${seed}`);
  };

  /** A filter is kept once its last run is written; until then it is made again of its runs. */
  const loadFilters = (state: Loaded): void => {
    for (const { id, bits } of rows.filters()) state.filters.set(id, createRunFilter(bits));
    const complete = new Set(state.filters.keys());
    for (const { id } of state.runs) if (!complete.has(filterOf(id))) fillFilter(state, id);
  };

  const fillFilter = (state: Loaded, runId: number): void => {
    const filter = filterFor(state, runId);
    for (let bucket = 0; bucket < BUCKETS; bucket += 1) {
      forEachHash(rows.bucket(runId, bucket), (hash) => filter.add(placeInFilter(runId), hash));
    }
  };

  const filterFor = ({ filters }: Loaded, runId: number): RunFilter => {
    const known = filters.get(filterOf(runId));
    if (known) return known;
    const filter = createRunFilter();
    filters.set(filterOf(runId), filter);
    return filter;
  };

  const loadRecent = (state: Loaded): void => {
    let after = state.runs.at(-1)?.lastEventId ?? 0;
    for (let named = rows.named(after, LOAD_STEP); named.length > 0; named = rows.named(after, LOAD_STEP)) {
      for (const { id, organizationId, externalId } of named) {
        state.recent.add(state.hashOf(organizationId, externalId), id);
        after = id;
      }
      state.committed = state.recent.size;
      if (state.recent.size >= runSize) writeRun(state);
    }
  };

  // ── finding ───────────────────────────────────────────────────────────────────────────────────────

  const claim: ExternalIds["claim"] = ({ id, organizationId, externalId }) => {
    const { recent, hashOf } = inMemory();
    const hash = hashOf(organizationId, externalId);
    const found = locate(hash, organizationId, externalId);
    if (found === null) recent.add(hash, id);
    return found;
  };

  const find: ExternalIds["find"] = (organizationId, externalId) =>
    locate(inMemory().hashOf(organizationId, externalId), organizationId, externalId);

  const locate = (hash: number, organizationId: number, externalId: string): number | null => {
    const { recent, filters } = inMemory();
    // Sees the events of the present transaction too.
    const isIt = (eventId: number): boolean => rows.isNamed(eventId, organizationId, externalId);
    let found = recent.find(hash, isIt);
    for (const [number, filter] of filters) {
      if (found !== null) return found;
      found = findInRuns(number * RUNS_IN_FILTER, filter.runsOf(hash), hash, isIt);
    }
    return found;
  };

  /** Looks into the runs from `first` on whose bit is set. */
  const findInRuns = (
    first: number,
    bits: number,
    hash: number,
    isIt: (eventId: number) => boolean,
  ): number | null => {
    for (let left = bits; left !== 0; ) {
      const place = 31 - Math.clz32(left);
      const found = findInBucket(rows.bucket(first + place, hash >>> BUCKET_SHIFT), hash, isIt);
      if (found !== null) return found;
      left &= ~(1 << place);
    }
    return null;
  };

  // ── runs come and go ──────────────────────────────────────────────────────────────────────────────

  const writeRun = (state: Loaded): void => {
    const { recent, runs } = state;
    const id = (runs.at(-1)?.id ?? FIRST_RUN - 1) + 1;
    const run = { id, firstEventId: recent.eventIdAt(0), lastEventId: recent.eventIdAt(recent.size - 1) };
    const filter = filterFor(state, id);
    for (let i = 0; i < recent.size; i += 1) filter.add(placeInFilter(id), recent.hashAt(i));
    transaction("relaxed", () => {
      rows.insertRun(run, toBuckets(recent));
      if (completesFilter(id)) rows.insertFilter(filterOf(id), filter.bytes());
    });
    runs.push(run);
    Object.assign(state, { recent: createRecentIds(), committed: 0 });
  };

  const committed = (): void => {
    const state = inMemory();
    state.committed = state.recent.size;
    if (state.recent.size < runSize) return;
    try {
      writeRun(state);
    } catch (error) {
      // The events are stored, and their ids stay in memory: the next ones try again.
      if (!isSqliteFault(error)) throw error;
    }
  };

  const rolledBack = (): void => {
    const { recent, committed } = inMemory();
    recent.truncate(committed);
  };

  const dropOldRun: ExternalIds["dropOldRun"] = () => {
    const { runs, filters } = inMemory();
    const [oldest] = runs;
    if (!oldest || rows.anyEvent(oldest)) return false;
    const number = filterOf(oldest.id);
    const isLast = completesFilter(oldest.id);
    transaction("relaxed", () => {
      rows.dropRun(oldest.id);
      if (isLast) rows.dropFilter(number);
    });
    runs.shift();
    if (isLast) filters.delete(number);
    return true;
  };

  return { load, claim, find, committed, rolledBack, dropOldRun };
}
