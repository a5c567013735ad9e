import type { SQL } from "bun";
import { SQL as Client } from "bun";
import type { Address } from "./address.ts";
import type { Pool } from "./pool.ts";

/** What one daemon tells the others. Whoever misses it finds out by looking, a little later. */
export interface Announcement {
  /** Webhooks that have something due. */
  due?: number[];
  /** What daemons keep in memory has changed: organizations, keys, webhooks. */
  changed?: true;
  /** Daemons or partitions have come or gone. */
  shares?: true;
}

export interface Announcer {
  /** Tells the others soon, together with what else there is to tell. */
  tell(announcement: Announcement): void;
  /** Tells them now. Never rejects. */
  flush(): Promise<void>;
}

const CHANNEL = "armorhooks";
/** Telling within the commit that it is about would make all commits wait for each other. */
const GATHER_MS = 5;
/** A payload must be shorter than 8000 bytes. */
const MAX_DUE = 900;

export function createAnnouncer(pool: Pool): Announcer {
  const due = new Set<number>();
  let changed = false;
  let shares = false;
  let timer: ReturnType<typeof setTimeout> | undefined;

  const flush = async (): Promise<void> => {
    clearTimeout(timer);
    timer = undefined;
    if (due.size === 0 && !changed && !shares) return;
    const payload: Announcement = {};
    if (due.size > 0) payload.due = [...due].slice(0, MAX_DUE);
    if (changed) payload.changed = true;
    if (shares) payload.shares = true;
    for (const id of payload.due ?? []) due.delete(id);
    changed = false;
    shares = false;
    // Who is not told now will look by itself.
    await pool.query(`SELECT pg_notify('${CHANNEL}', $1)`, [JSON.stringify(payload)]).catch(() => {});
    if (due.size > 0) await flush();
  };

  return {
    tell(announcement) {
      for (const id of announcement.due ?? []) due.add(id);
      changed ||= announcement.changed ?? false;
      shares ||= announcement.shares ?? false;
      timer ??= setTimeout(flush, GATHER_MS);
    },
    flush,
  };
}

export interface Listener {
  /** Whether what is told arrives. */
  isListening(): boolean;
  /** Begins to listen, or to listen again after the database was away. Never rejects. */
  listen(): Promise<void>;
  close(): Promise<void>;
}

const CONNECT_SECONDS = 4;

/**
 * Has a connection of its own. Behind a pooler nobody can listen: there the poll alone finds what is due.
 * `onGap` is called when something may have been missed.
 */
export function createListener(
  address: Address,
  onAnnouncement: (announcement: Announcement) => void,
  onGap: () => void,
): Listener {
  let client: SQL | null = null;
  let isListening = false;

  const drop = async (): Promise<void> => {
    const old = client;
    client = null;
    isListening = false;
    await old?.close({ timeout: 0 }).catch(() => {});
  };

  const listen = async (): Promise<void> => {
    if (address.isPooled) return;
    await drop();
    const opened = new Client({
      ...address.options,
      max: 1,
      connectionTimeout: CONNECT_SECONDS,
      connection: { application_name: "armorhooks listen" },
      onclose: () => {
        if (client === opened) isListening = false;
      },
    });
    client = opened;
    try {
      await opened.listen(
        CHANNEL,
        (payload: string) => onAnnouncement(JSON.parse(payload) as Announcement),
        () => {
          isListening = true;
          onGap();
        },
      );
    } catch {
      // The poll does without, and this is tried again.
      if (client === opened) await drop();
    }
  };

  return { isListening: () => isListening, listen, close: drop };
}
