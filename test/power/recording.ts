import { existsSync, mkdirSync, statSync } from "node:fs";
import { dirname, join } from "node:path";
import {
  LOOPBACK,
  newDir,
  type RunningDaemon,
  removeDir,
  runCommand,
  startDaemon,
} from "../support/daemon.ts";
import { type Snapshot, takeSnapshot } from "./image.ts";
import { type Entry, readRecord } from "./record.ts";

/** What was said to the outside, each dated by how long the record was then: a cut after that must not take it back. */
export interface Facts {
  /** When a daemon was ready for the first time; from then on its key holds. */
  readyAt: number | null;
  key: string;
  /** Acked events. */
  acks: { at: number; id: string; deliveries: number }[];
  /** Ids of events that somebody has seen. */
  seen: { at: number; id: string }[];
  webhooks: Map<string, WebhookVersion[]>;
  /** Files that a command said it had written. */
  files: { at: number; path: string }[];
  /** When all was moved to another database, from then on the directory must say so; null when it never was. */
  moved: { at: number; to: string } | null;
}

/** A webhook as one request made it; null once deleted. */
export interface WebhookVersion {
  /** When it was asked for: from then on it may be so. */
  from: number;
  /** When it was answered: from then on it must be so. */
  at: number;
  state: { url: string; events: string[]; enabled: boolean; secret: string } | null;
}

/** A piece of work of the real program, with everything that it did to the disk. */
export interface Recording {
  name: string;
  /** The directory as it was before. */
  before: Snapshot;
  /** Where it is, as it was afterwards. */
  after: string;
  entries: Entry[];
  facts: Facts;
}

/** Removes what a recording keeps on the disk. */
export function forget({ after }: Recording): void {
  removeDir(dirname(after));
}

export interface Recorder {
  /** The recorded directory; the data directory is `data` in it. */
  dir: string;
  facts: Facts;
  /** The length of the record. */
  now(): number;
  start(options?: { args?: string[]; env?: Record<string, string> }): Promise<RunningDaemon>;
  run(args: string[]): ReturnType<typeof runCommand>;
}

export interface RecordOptions {
  name: string;
  /** recorder.c, built. */
  library: string;
  /** Makes what is there before, all of it on the disk. */
  prepare?: (dir: string) => unknown;
  /** What is known before; a recording of its own daemon begins with nothing. */
  facts?: Facts;
  env?: Record<string, string>;
  work: (recorder: Recorder) => Promise<void>;
}

/** Syncs take as long as on a good disk, so that answers that do not wait for them come before they end. */
const SYNC_MICROSECONDS = 1_500;

export async function record({
  name,
  library,
  prepare,
  facts,
  env,
  work,
}: RecordOptions): Promise<Recording> {
  const base = newDir();
  const dir = join(base, "disk");
  const file = join(base, "record");
  mkdirSync(dir);
  await prepare?.(dir);
  const before = takeSnapshot(dir);
  const preload = {
    LD_PRELOAD: library,
    ARMORHOOKS_POWER_ROOT: dir,
    ARMORHOOKS_POWER_LOG: file,
    ARMORHOOKS_POWER_DELAY: String(SYNC_MICROSECONDS),
    ...env,
  };
  const recorder: Recorder = {
    dir,
    facts: facts ?? noFacts(),
    now: () => (existsSync(file) ? statSync(file).size : 0),
    async start(options = {}) {
      const daemon = await startDaemon({
        compiled: true,
        dir,
        args: [...LOOPBACK, ...(options.args ?? [])],
        env: { ...preload, ...options.env },
      });
      recorder.facts.readyAt ??= recorder.now();
      recorder.facts.key ||= daemon.key;
      return {
        ...daemon,
        api: (method, path, body) => apiOf(daemon, recorder.facts.key)(method, path, body),
      };
    },
    run: (args) => runCommand(args, { compiled: true, cwd: dir, env: preload }),
  };
  await work(recorder);
  const entries = readRecord(file, dir);
  // What is heard after this is of other daemons: those that start on the cut disks have the same receiver.
  const seen = [...recorder.facts.seen];
  return { name, before, after: dir, entries, facts: { ...recorder.facts, seen } };
}

function apiOf({ url }: RunningDaemon, key: string): RunningDaemon["api"] {
  return async (method, path, body) => {
    const answer = await fetch(url + path, {
      method,
      headers: { authorization: `Bearer ${key}`, "content-type": "application/json" },
      ...(body !== undefined && { body: JSON.stringify(body) }),
    });
    return { status: answer.status, headers: answer.headers, body: await answer.json() };
  };
}

export function noFacts(): Facts {
  return { readyAt: null, key: "", acks: [], seen: [], webhooks: new Map(), files: [], moved: null };
}

/** The same facts, known before a recording began. */
export function known({ key, acks, seen, webhooks }: Facts): Facts {
  return {
    readyAt: 0,
    key,
    acks: acks.map((ack) => ({ ...ack, at: 0 })),
    seen: seen.map((one) => ({ ...one, at: 0 })),
    webhooks: new Map(
      [...webhooks].map(([id, versions]) => [
        id,
        [{ ...(versions.at(-1) as WebhookVersion), from: 0, at: 0 }],
      ]),
    ),
    files: [],
    moved: null,
  };
}
