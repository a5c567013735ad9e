/**
 * Who may send a delivery: it is claimed in memory from the moment it is handed out until its result is written or
 * it is given back. One process owns a data directory, so nothing needs to be written for that; all claims end
 * with it.
 */
export interface Claims {
  has(webhookId: number, id: number): boolean;
  /** How many of a webhook's deliveries are claimed. */
  count(webhookId: number): number;
  add(webhookId: number, id: number): void;
  /** Claims one that was just made: all that were made before are claimed too, or no longer pending. */
  addFresh(webhookId: number, id: number): void;
  /** Of a webhook's deliveries that were never tried, all up to the answer are claimed or no longer so. */
  freshThrough(webhookId: number): number;
  /** Notes that all fresh deliveries up to an id were handed out. */
  noteFresh(webhookId: number, id: number): void;
  free(webhookId: number, id: number): void;
  /** Frees one that was never tried, so that it is found again. */
  giveBack(webhookId: number, id: number): void;
  /** A claimed delivery was retried by hand: the answer is false when it is not claimed. */
  renew(webhookId: number, id: number): boolean;
  isRenewed(id: number): boolean;
}

interface Held {
  ids: Set<number>;
  freshThrough: number;
}

export function createClaims(): Claims {
  const byWebhook = new Map<number, Held>();
  const renewed = new Set<number>();

  const heldOf = (webhookId: number): Held => {
    const known = byWebhook.get(webhookId);
    if (known) return known;
    const held = { ids: new Set<number>(), freshThrough: 0 };
    byWebhook.set(webhookId, held);
    return held;
  };

  const free = (webhookId: number, id: number): void => {
    if (renewed.size > 0) renewed.delete(id);
    const held = byWebhook.get(webhookId);
    if (!held?.ids.delete(id) || held.ids.size > 0) return;
    // With nothing claimed, the table alone says what is to be sent.
    byWebhook.delete(webhookId);
  };

  return {
    has: (webhookId, id) => byWebhook.get(webhookId)?.ids.has(id) ?? false,
    count: (webhookId) => byWebhook.get(webhookId)?.ids.size ?? 0,
    add: (webhookId, id) => heldOf(webhookId).ids.add(id),
    addFresh(webhookId, id) {
      const held = heldOf(webhookId);
      held.ids.add(id);
      held.freshThrough = id;
    },
    freshThrough: (webhookId) => byWebhook.get(webhookId)?.freshThrough ?? 0,
    noteFresh(webhookId, id) {
      const held = heldOf(webhookId);
      held.freshThrough = Math.max(held.freshThrough, id);
    },
    free,
    giveBack(webhookId, id) {
      free(webhookId, id);
      const held = byWebhook.get(webhookId);
      if (held) held.freshThrough = Math.min(held.freshThrough, id - 1);
    },
    renew(webhookId, id) {
      if (!byWebhook.get(webhookId)?.ids.has(id)) return false;
      renewed.add(id);
      return true;
    },
    isRenewed: (id) => renewed.size > 0 && renewed.has(id),
  };
}
