import type { Logger } from "../../log.ts";
import type { QueueChanges } from "../delivery-queue.ts";
import type { Announcement, Announcer, Listener } from "./announcements.ts";
import { type DatabaseClock, readClock } from "./clock.ts";
import type { PostgresDatabase } from "./database.ts";
import type { DueWebhooks } from "./due-webhooks.ts";
import { LEASE_BEAT_MS, type Membership } from "./members.ts";
import type { Partitions } from "./partitions.ts";
import type { Query } from "./pool.ts";

/**
 * What a daemon does all the time, one thing after another: it hears of changes and looks for them, gives signs of life,
 * has its share of the partitions, and finds out when the database is away and back.
 */
export interface Pulse {
  /** Joins the others. Rejects with StoreFault. */
  start(): Promise<void>;
  /** The engine is there. */
  send(): void;
  /** Gives everything up, for others to take at once. Never rejects. */
  stop(): Promise<void>;
}

export interface PulseOptions {
  database: PostgresDatabase;
  clock: DatabaseClock;
  membership: Membership;
  partitions: Partitions;
  announcer: Announcer;
  createListener: (onAnnouncement: (announcement: Announcement) => void, onGap: () => void) => Listener;
  log: Logger | undefined;
  /** Reads what is in memory again, where that has changed. */
  refresh: (query: Query) => Promise<void>;
  /** What need not be done at once: rejects with StoreFault. */
  tidy: () => Promise<void>;
  due: DueWebhooks;
  /** Told when what is pending may be this daemon's to send again, after the lease was in doubt. */
  watchers: Pick<QueueChanges, "gained">;
}

/** While the database is away, or its announcements do not come. */
const LOOK_MS = 300;
/** What is not told is found within a second all the same; each third time a sign of life is due. */
const CALM_LOOK_MS = 500;
const DRAIN_MS = 20;
const TIDY_MS = 500;
/** Nobody tells: what others have stored is found like this alone. */
const POLL_MS = 1_000;
/** Somebody tells: only what was missed is found like this. */
const SLOW_POLL_MS = 15_000;
const LISTEN_MS = 2_000;

export function createPulse(options: PulseOptions): Pulse {
  const { database, clock, membership, partitions, announcer, log, refresh, tidy } = options;
  const { pulse: pool } = database;
  let timer: ReturnType<typeof setTimeout> | undefined;
  let isStopped = false;
  let isSending = false;
  let mustBalance = true;
  let mustPoll = true;
  /** What is told may go to a connection that was cut off without a word. */
  let mustListen = false;
  let isSoon = false;
  let running: Promise<void> = Promise.resolve();
  let beatenAt = 0;
  let tidiedAt = 0;
  let polledAt = 0;
  let listenedAt = Number.NEGATIVE_INFINITY;

  const rejoin = async (): Promise<void> => {
    partitions.dropAll();
    await membership.join();
    announcer.tell({ shares: true });
    mustBalance = true;
  };

  const beat = async (): Promise<void> => {
    beatenAt = performance.now();
    const came = await membership.beat();
    if (came === "revived") options.watchers.gained();
    if (came === "late") {
      log?.warn("the lease had run out: others have taken over, and this daemon begins anew");
      await rejoin();
    }
    // The dead are found by whoever is alive.
    if ((await membership.removeDead()) > 0) announcer.tell({ shares: true });
    mustBalance = true;
  };

  const balance = async (): Promise<void> => {
    mustBalance = false;
    if (!isSending) return;
    await partitions.balance();
  };

  const turn = async (): Promise<void> => {
    const now = performance.now();
    mustListen ||= database.fault() !== null;
    if (now - beatenAt >= LEASE_BEAT_MS || database.fault() !== null || !membership.isAlive()) await beat();
    if (partitions.isDraining() && (await partitions.giveDrained())) announcer.tell({ shares: true });
    if (mustBalance) await balance();
    await readClock(pool.query, clock);
    await refresh(pool.query);
    database.worked();
    if (now - tidiedAt >= TIDY_MS) {
      tidiedAt = now;
      await tidy();
    }
    if ((mustListen || !listener.isListening()) && now - listenedAt >= LISTEN_MS) {
      listenedAt = now;
      mustListen = false;
      // Not waited for: it has no limit of its own.
      void listener.listen();
    }
    if (mustPoll || now - polledAt >= (listener.isListening() ? SLOW_POLL_MS : POLL_MS)) {
      mustPoll = false;
      polledAt = now;
      await options.due.poll();
    }
  };

  const run = async (): Promise<void> => {
    isSoon = false;
    try {
      await turn();
    } catch (error) {
      database.failed(error);
    }
    const isCalm = database.fault() === null && listener.isListening();
    schedule(isSoon ? 0 : partitions.isDraining() ? DRAIN_MS : isCalm ? CALM_LOOK_MS : LOOK_MS);
  };

  const schedule = (pause: number): void => {
    clearTimeout(timer);
    if (isStopped) return;
    timer = setTimeout(() => {
      timer = undefined;
      running = run();
    }, pause);
  };

  const soon = (): void => {
    isSoon = true;
    if (timer) schedule(0);
  };

  const hear = ({ due, changed, shares }: Announcement): void => {
    if (due) options.due.tell(due);
    mustBalance ||= shares ?? false;
    if (changed || shares) soon();
  };

  const listener = options.createListener(hear, () => {
    mustPoll = true;
    soon();
  });

  return {
    async start() {
      await membership.join();
      beatenAt = performance.now();
      announcer.tell({ shares: true });
      schedule(0);
    },
    send() {
      isSending = true;
      membership.send().then(
        () => {
          announcer.tell({ shares: true });
          mustBalance = true;
          soon();
        },
        // The next time it joins it says so.
        database.failed,
      );
    },
    async stop() {
      isStopped = true;
      clearTimeout(timer);
      await running;
      try {
        await tidy();
        await membership.leave();
        partitions.dropAll();
        announcer.tell({ shares: true });
      } catch {
        // The others find out when the lease runs out.
      }
      await announcer.flush();
      await listener.close();
    },
  };
}
