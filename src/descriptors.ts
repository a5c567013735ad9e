import { closeSync, openSync, readdirSync, readFileSync } from "node:fs";

/**
 * Whether this process, or the machine, has no file descriptor left at this moment. It is tried, as the runtime
 * reports a connection that fails for this as refused.
 */
export function descriptorsAreOut(): boolean {
  try {
    closeSync(openSync("/dev/null", "r"));
    return false;
  } catch (error) {
    const { code } = error as NodeJS.ErrnoException;
    return code === "EMFILE" || code === "ENFILE";
  }
}

/** What an attempt that failed for it says. */
export const NO_DESCRIPTOR = "no file descriptor was left for it; it is tried again soon";

/** How many descriptors this process may have (the runtime has raised the soft limit to the hard one); infinite where nobody says. */
export function descriptorLimit(): number {
  try {
    const limits = readFileSync("/proc/self/limits", "utf8");
    const soft = /^Max open files\s+(\d+)/m.exec(limits)?.[1];
    return soft === undefined ? Number.POSITIVE_INFINITY : Number(soft);
  } catch {
    // Only Linux has this file; elsewhere a shortage is found when it is there.
    return Number.POSITIVE_INFINITY;
  }
}

/** How many it has now. */
export function openDescriptors(): number {
  try {
    return readdirSync("/proc/self/fd").length;
  } catch {
    // As above.
    return 0;
  }
}

/** How many descriptors each part of the daemon may hold at once. */
export interface DescriptorShares {
  /** Connections to receivers, idle ones included. */
  sending: number;
  /** Connections of scanners. */
  scanners: number;
}

/** Kept for the database's own files, name servers and the log, beside what is open at the start. */
const RESERVED = 12;
/** However few there are: with less, nothing would go on at all. */
const LEAST = 4;

/**
 * Shares the descriptors that are left out so that they never run out: half for receivers, three tenths for
 * scanners, the rest for the API, which nothing bounds.
 */
export function shareDescriptors(limit: number, inUse: number): DescriptorShares {
  const free = limit - inUse - RESERVED;
  const share = (part: number): number => Math.max(LEAST, Math.floor(free * part));
  return { sending: share(0.5), scanners: share(0.3) };
}
