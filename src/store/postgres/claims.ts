import { partitionOf } from "./partitions.ts";

/** A delivery that is in the hands of this daemon's engine. */
export interface Claimed {
  /** Of its partition, when it was claimed. */
  epoch: number;
  /** How often it had been retried by hand by then. */
  retries: number;
}

/** Who may send a delivery: claims are in the memory of the daemon that holds its partition. */
export interface Claims {
  get(webhookId: number, id: number): Claimed | undefined;
  ids(webhookId: number): number[];
  add(webhookId: number, id: number, claimed: Claimed): void;
  free(webhookId: number, id: number): void;
  /** Whether anything of a partition is claimed. */
  isBusy(partition: number): boolean;
  /**
   * To be asked before the table is read: what is freed until `end` may look pending in what was read, though its
   * result has been written since.
   */
  beginReading(webhookId: number): Reading;
}

export interface Reading {
  isSure(id: number): boolean;
  end(): void;
}

export function createClaims(): Claims {
  const byWebhook = new Map<number, Map<number, Claimed>>();
  const byPartition = new Map<number, number>();
  const readings = new Map<number, Set<Set<number>>>();

  const count = (webhookId: number, change: number): void => {
    const partition = partitionOf(webhookId);
    const next = (byPartition.get(partition) ?? 0) + change;
    if (next === 0) byPartition.delete(partition);
    else byPartition.set(partition, next);
  };

  return {
    get: (webhookId, id) => byWebhook.get(webhookId)?.get(id),
    ids: (webhookId) => [...(byWebhook.get(webhookId)?.keys() ?? [])],
    add(webhookId, id, claimed) {
      const held = byWebhook.get(webhookId) ?? new Map<number, Claimed>();
      byWebhook.set(webhookId, held);
      if (!held.has(id)) count(webhookId, 1);
      held.set(id, claimed);
    },
    free(webhookId, id) {
      const held = byWebhook.get(webhookId);
      if (!held?.delete(id)) return;
      if (held.size === 0) byWebhook.delete(webhookId);
      count(webhookId, -1);
      for (const freed of readings.get(webhookId) ?? []) freed.add(id);
    },
    isBusy: (partition) => byPartition.has(partition),
    beginReading(webhookId) {
      const freed = new Set<number>();
      const all = readings.get(webhookId) ?? new Set();
      readings.set(webhookId, all.add(freed));
      return {
        isSure: (id) => !freed.has(id),
        end() {
          all.delete(freed);
          if (all.size === 0) readings.delete(webhookId);
        },
      };
    },
  };
}
