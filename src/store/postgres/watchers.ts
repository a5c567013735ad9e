import type { QueueChanges } from "../delivery-queue.ts";

/** Whoever watches the queue, told as one; nobody as yet, where no engine is there. */
export interface Watchers extends QueueChanges {
  add(changes: QueueChanges): void;
  areThere(): boolean;
}

export function createWatchers(): Watchers {
  const all = new Set<QueueChanges>();
  return {
    add: (changes) => void all.add(changes),
    areThere: () => all.size > 0,
    due: (webhookId) => {
      for (const one of all) one.due(webhookId);
    },
    changed: (webhookId) => {
      for (const one of all) one.changed(webhookId);
    },
    gained: () => {
      for (const one of all) one.gained();
    },
    lost: (isLost) => {
      for (const one of all) one.lost(isLost);
    },
  };
}
