import type { QueueChanges } from "../delivery-queue.ts";
import type { Membership } from "./members.ts";
import type { Pool } from "./pool.ts";

/** Webhooks are shared out in so many parts, by their ids. */
export const PARTITIONS = 256;

export function partitionOf(webhookId: number): number {
  return webhookId % PARTITIONS;
}

/** The partition of a webhook's id, as SQL. */
export const partitionIn = (webhookId: string): string => `(${webhookId} % ${PARTITIONS})`;

/**
 * One partition, as one daemon sees it:
 *
 *               its holder is dead, or gave it up             others have less than their share
 *    not ours ──────────────────────────────────▶ held ──────────────────────────────────▶ draining
 *        ▲                                         │                                            │
 *        │          the lease ran out              │        nothing of it is under way          │
 *        └─────────────────────────────────────────┴────────────────────────────────────────────┘
 *
 * - held: its webhooks are sent to, while the lease surely holds.
 * - draining: nothing of it begins; what is under way ends and is written first, so that nothing is sent twice.
 */
interface Held {
  epoch: number;
  isDraining: boolean;
}

export interface Partitions {
  /** The epoch in which a webhook may be sent to now; null when it may not. */
  epochFor(webhookId: number): number | null;
  /** Those that are held and not draining. */
  ids(): number[];
  count(): number;
  /** Takes what is free and due to this daemon, lets go of what is due to others. Rejects with StoreFault. */
  balance(): Promise<void>;
  /** The lease ran out: nothing is held any more. */
  dropAll(): void;
  /** Gives up what is draining and has nothing under way; answers whether anything was given. */
  giveDrained(): Promise<boolean>;
  /** Whether something is draining. */
  isDraining(): boolean;
}

export interface PartitionsOptions {
  pool: Pool;
  membership: Membership;
  /** Whether something of a partition is under way. */
  isBusy: (partition: number) => boolean;
  /** Told of what is gained, and of what is held no longer, or soon not. */
  watchers: Pick<QueueChanges, "gained" | "lost">;
}

export function createPartitions({ pool, membership, isBusy, watchers }: PartitionsOptions): Partitions {
  const held = new Map<number, Held>();

  const epochFor = (webhookId: number): number | null => {
    const partition = held.get(partitionOf(webhookId));
    return partition && !partition.isDraining && membership.isAlive() ? partition.epoch : null;
  };

  const tellLost = (): void => watchers.lost((webhookId) => epochFor(webhookId) === null);

  const take = async (owner: string, limit: number): Promise<void> => {
    const rows = await pool.query<{ id: number; epoch: number }>(
      `UPDATE partitions SET owner = $1, epoch = epoch + 1, taken_at = clock_timestamp()
       WHERE id IN (SELECT p.id FROM partitions p WHERE p.owner IS NULL OR NOT EXISTS (SELECT 1 FROM daemons d WHERE d.id = p.owner)
         ORDER BY random() LIMIT $2 FOR UPDATE SKIP LOCKED)
       AND EXISTS (SELECT 1 FROM daemons WHERE id = $1 AND expires_at > clock_timestamp())
       RETURNING id::int4 AS id, epoch::float8 AS epoch`,
      [owner, limit],
    );
    // The lease may have been lost and won again meanwhile, under another name.
    if (membership.id() !== owner) return;
    for (const { id, epoch } of rows) held.set(id, { epoch, isDraining: false });
    if (rows.length > 0) watchers.gained();
  };

  /** Those with nothing under way go first: they need not wait. Any of them, as webhooks of the same age lie side by side. */
  const drain = (surplus: number): void => {
    const chosen = shuffled([...held].filter(([, { isDraining }]) => !isDraining));
    chosen.sort(([a], [b]) => Number(isBusy(a)) - Number(isBusy(b)));
    for (const [, partition] of chosen.slice(0, surplus)) partition.isDraining = true;
    tellLost();
  };

  const activeCount = (): number => {
    let count = 0;
    for (const { isDraining } of held.values()) if (!isDraining) count += 1;
    return count;
  };

  return {
    epochFor,
    ids: () => [...held].filter(([, { isDraining }]) => !isDraining).map(([id]) => id),
    count: () => held.size,
    isDraining: () => activeCount() < held.size,
    async balance() {
      const owner = membership.id();
      if (owner === null) return;
      const [row] = await pool.query<{ senders: number; free: number }>(
        `SELECT (SELECT count(*) FROM daemons WHERE sends)::int4 AS senders,
         (SELECT count(*) FROM partitions p WHERE p.owner IS NULL OR NOT EXISTS (SELECT 1 FROM daemons d WHERE d.id = p.owner))::int4 AS free`,
      );
      if (!row) return;
      const share = Math.ceil(PARTITIONS / Math.max(1, row.senders));
      const active = activeCount();
      if (active > share) drain(active - share);
      // One that is draining may come back under the same daemon only once it was given.
      else if (active < share && row.free > 0) await take(owner, share - active);
    },
    dropAll() {
      if (held.size === 0) return;
      held.clear();
      tellLost();
    },
    async giveDrained() {
      const drained = [...held].filter(([id, { isDraining }]) => isDraining && !isBusy(id)).map(([id]) => id);
      const owner = membership.id();
      if (drained.length === 0 || owner === null) return false;
      await pool.query("UPDATE partitions SET owner = NULL WHERE owner = $1 AND id = ANY($2::smallint[])", [
        owner,
        drained,
      ]);
      for (const id of drained) held.delete(id);
      return true;
    },
  };
}

function shuffled<T>(items: readonly T[]): T[] {
  return items
    .map((item) => ({ item, at: Math.random() }))
    .sort((a, b) => a.at - b.at)
    .map(({ item }) => item);
}
