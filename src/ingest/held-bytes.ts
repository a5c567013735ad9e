/** What connections make the process hold in memory, and who has made it do so for longest. */
export interface HeldBytes<Owner> {
  /** Notes what an owner holds now; `progressed` when it has done its part since the last time. */
  note(owner: Owner, now: Held, progressed: boolean): void;
  forget(owner: Owner): void;
  /** Bytes of complete lines that wait for their turn: the daemon's own backlog. */
  readonly queued: number;
  /** Bytes that wait for a connection: to finish its line, or to read its acks. */
  readonly stuck: number;
  /** Whose stuck bytes are there longest without progress. */
  longestStuck(): Owner | undefined;
}

export interface Held {
  queued: number;
  stuck: number;
}

export function createHeldBytes<Owner>(): HeldBytes<Owner> {
  const byOwner = new Map<Owner, Held>();
  let queued = 0;
  let stuck = 0;
  /** In the order of their last progress. */
  const waitedFor = new Set<Owner>();

  const forget = (owner: Owner): void => {
    const held = byOwner.get(owner);
    if (!held) return;
    queued -= held.queued;
    stuck -= held.stuck;
    byOwner.delete(owner);
    waitedFor.delete(owner);
  };

  return {
    note(owner, now, progressed) {
      const before = byOwner.get(owner);
      queued += now.queued - (before?.queued ?? 0);
      stuck += now.stuck - (before?.stuck ?? 0);
      if (now.queued + now.stuck === 0) byOwner.delete(owner);
      else byOwner.set(owner, now);
      if (now.stuck === 0 || progressed) waitedFor.delete(owner);
      if (now.stuck > 0) waitedFor.add(owner);
    },
    forget,
    get queued() {
      return queued;
    },
    get stuck() {
      return stuck;
    },
    longestStuck: () => waitedFor.values().next().value,
  };
}
