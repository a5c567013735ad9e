/** What connections make the process hold in memory, and who has made it do so for longest. */
export interface Holdings<Owner> {
  /** Notes what an owner holds now; `progressed` when it has done its part since the last time. */
  note(owner: Owner, holding: Holding, progressed: boolean): void;
  forget(owner: Owner): void;
  /** Bytes of complete lines that wait for their turn: the daemon's own backlog. */
  readonly queued: number;
  /** Bytes that wait for a connection: to finish its line, or to read its acks. */
  readonly stuck: number;
  /** Whose stuck bytes are there longest without progress. */
  longestStuck(): Owner | undefined;
}

export interface Holding {
  queued: number;
  stuck: number;
}

export function createHoldings<Owner>(): Holdings<Owner> {
  const holdings = new Map<Owner, Holding>();
  let queued = 0;
  let stuck = 0;
  /** In the order of their last progress. */
  const waitedFor = new Set<Owner>();

  const forget = (owner: Owner): void => {
    const held = holdings.get(owner);
    if (!held) return;
    queued -= held.queued;
    stuck -= held.stuck;
    holdings.delete(owner);
    waitedFor.delete(owner);
  };

  return {
    note(owner, holding, progressed) {
      const before = holdings.get(owner);
      queued += holding.queued - (before?.queued ?? 0);
      stuck += holding.stuck - (before?.stuck ?? 0);
      if (holding.queued + holding.stuck === 0) holdings.delete(owner);
      else holdings.set(owner, holding);
      if (holding.stuck === 0 || progressed) waitedFor.delete(owner);
      if (holding.stuck > 0) waitedFor.add(owner);
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
