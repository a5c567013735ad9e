import { pick } from "../support/random.ts";
import type { Receiver } from "../support/receiver.ts";
import { findFault } from "./check.ts";
import { createDisk, type Manner, type SyncKind } from "./disk.ts";
import type { Image } from "./image.ts";
import type { Entry } from "./record.ts";
import type { Recording } from "./recording.ts";

export interface CutOptions {
  random: () => number;
  library: string;
  receiver: Receiver;
  /** Syncs of this kind are taken as if they had not been. */
  without?: SyncKind;
  /** The moments to choose from, as numbers of changes; all of them if not given. */
  within?: readonly [number, number];
  /** When to stop; told how many were made and what was found. */
  isEnough: (cuts: number, faults: readonly string[]) => boolean;
}

export interface CutResult {
  cuts: number;
  /** Each with where the cut was and in which manner. */
  faults: string[];
}

/** Starts at once: more than processors, since each waits for this and that. */
const AT_ONCE = 3;
/** Cuts in one pass over a record. */
const EACH_PASS = 24;

/** Cuts the power at random moments of a recording, and checks what is left. */
export async function tryCuts(recording: Recording, options: CutOptions): Promise<CutResult> {
  const faults: string[] = [];
  const running = new Set<Promise<void>>();
  let cuts = 0;
  while (!options.isEnough(cuts, faults)) {
    for (const cut of makeCuts(recording, options)) {
      if (options.isEnough(cuts, faults)) break;
      const checked = check(recording, cut, options).then((fault) => {
        cuts += 1;
        if (fault !== null) faults.push(fault);
        running.delete(checked);
      });
      running.add(checked);
      if (running.size >= AT_ONCE) await Promise.race(running);
    }
    await Promise.all(running);
  }
  await Promise.all(running);
  return { cuts, faults };
}

interface Made {
  image: Image;
  /** The last entry before the cut. */
  last: Entry;
  index: number;
  manner: Manner;
}

/** Disks at random moments, in the order of the record. */
function* makeCuts({ before, entries }: Recording, { random, without, within }: CutOptions): Generator<Made> {
  const disk = createDisk(before, without);
  let done = 0;
  for (const moment of moments(entries, random, within ?? [1, entries.length])) {
    for (; done < moment; done += 1) disk.apply(entries[done] as Entry);
    const manner: Manner = {
      // With all there, syncs make no difference.
      unsynced: pick(random, ["some", "some", "some", "nothing", without ? "some" : "all"]),
      names: pick(random, ["strict", "ordered"]),
    };
    yield { image: disk.cut(random, manner), last: entries[moment - 1] as Entry, index: moment, manner };
  }
}

/** Half of them anywhere, half near a sync or a change of names. */
function moments(
  entries: readonly Entry[],
  random: () => number,
  [from, to]: readonly [number, number],
): number[] {
  const notable = entries.flatMap(({ kind }, i) => (kind === "write" ? [] : [i]));
  const anywhere = (): number => from + Math.floor(random() * (to - from + 1));
  const near = (): number => pick(random, notable) + Math.floor(random() * 3);
  const chosen = Array.from({ length: EACH_PASS }, (_, i) => (i % 2 === 0 ? anywhere() : near()));
  return chosen.map((moment) => Math.max(from, Math.min(to, moment))).sort((a, b) => a - b);
}

async function check(
  { name, facts }: Recording,
  { image, last, index, manner }: Made,
  { library, receiver }: CutOptions,
): Promise<string | null> {
  const fault = await findFault({ image, facts, position: last.end, library, receiver });
  if (fault === null) return null;
  const where = `${name}, after change ${index} (${last.kind} ${last.path || "the directory"})`;
  return `${where}, ${manner.unsynced} of what is not synced there, names ${manner.names}: ${fault}`;
}
