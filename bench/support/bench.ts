import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { type Methods, type Program, startProgram } from "./program.ts";

/** One line of the table. */
export interface Line {
  name: string;
  figure: string;
  /** What was measured beside it in the same run. */
  limit: string;
  ratio: string;
  /** Microseconds of processor time for each event, ours beside the limit's, where that was measured. */
  cost?: string;
  /** What the ratio, or the figure, is meant to reach. */
  goal: string;
  reached: boolean | null;
  /** What else was seen. */
  note?: string;
  /** The numbers behind it, for --json. */
  values: Record<string, number>;
}

export interface Row {
  /** How the command line calls it. */
  name: string;
  /** Throws when what it timed was not done right. */
  run(bench: Bench): Promise<Line[]>;
}

/** What a row works with; all that it made is gone when the row ends. */
export interface Bench {
  readonly quick: boolean;
  /** Pairs of measurements, ours and the limit in turn. */
  readonly rounds: number;
  /** How long a row goes on that does so for minutes. */
  readonly minutes: number;
  /** Where the daemon, run from its sources, leaves CPU profiles; null to run the compiled binary. */
  readonly profileDir: string | null;
  size(full: number, quick: number): number;
  newDir(): string;
  program<M extends Methods>(name: string): Program<M>;
  /** Runs when the row ends, last one first. */
  defer(cleanUp: () => unknown): void;
  progress(text: string): void;
}

export interface BenchOptions {
  quick: boolean;
  minutes: number;
  profileDir: string | null;
  progress: (text: string) => void;
  /** Rejects when the user ends the run. */
  interrupted: Promise<never>;
}

/** Runs a row and clears up after it, whether it worked or not. */
export async function runRow(row: Row, options: BenchOptions): Promise<Line[]> {
  const { quick, minutes, profileDir, progress, interrupted } = options;
  const deferred: (() => unknown)[] = [];
  const bench: Bench = {
    quick,
    minutes,
    profileDir,
    rounds: quick ? 1 : 3,
    progress,
    size: (full, small) => (quick ? small : full),
    defer: (cleanUp) => deferred.push(cleanUp),
    newDir() {
      const dir = mkdtempSync(join(tmpdir(), "armorhooks-bench-"));
      deferred.push(() => rmSync(dir, { recursive: true, force: true }));
      return dir;
    },
    program(name) {
      const program = startProgram(name);
      deferred.push(() => program.stop());
      return program as never;
    },
  };
  try {
    return await Promise.race([row.run(bench), interrupted]);
  } finally {
    for (const cleanUp of deferred.reverse()) await cleanUp();
  }
}

/** A result that is wrong must not be quoted. */
export function check(what: string, holds: boolean): void {
  if (!holds) throw new Error(`not so: ${what}`);
}

export async function within<T>(what: string, milliseconds: number, result: Promise<T>): Promise<T> {
  let timer: ReturnType<typeof setTimeout> | undefined;
  const expired = new Promise<never>((_, reject) => {
    timer = setTimeout(() => reject(new Error(`${what} took over ${milliseconds / 1000} s`)), milliseconds);
  });
  try {
    return await Promise.race([result, expired]);
  } finally {
    clearTimeout(timer);
  }
}
