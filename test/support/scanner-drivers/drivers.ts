import { join } from "node:path";
import { until } from "../daemon.ts";
import { atEnd, emptyDir } from "../e2e.ts";
import { PYTHONS } from "../pythons.ts";

/** What became of one event. */
export interface Outcome {
  n: number;
  ack?: { id: string; deliveries: number; duplicate: boolean };
  error?: { name: string; code: string; message: string };
}

/** What a driver says at its end. */
export interface Summary {
  /** From the first event to the last ack. */
  ms: number;
  /** Most events that were unacked at once. */
  peak: number;
}

/** A process that sends what it is given with one of the scanner clients. */
export interface Driver {
  outcomes: Outcome[];
  /** Codes of the problems that the client has told of. */
  problems: string[];
  give(...events: object[]): void;
  /** Waits until so many events have an outcome. */
  settled(count: number): Promise<void>;
  /** Waits until the client has told of one more problem. */
  troubled(): Promise<void>;
  /** No more events: waits for the end; answers the outcomes in the order in which the events were given. */
  end(): Promise<{ outcomes: Outcome[]; summary: Summary }>;
}

const HERE = import.meta.dir;
const PYTHON_PATH = join(HERE, "../../../clients/python/src");
const PYTHON = PYTHONS.at(-1) as string;

let bundle: Promise<string> | null = null;

/** The driver as JavaScript that any runtime takes. */
function bundled(): Promise<string> {
  bundle ??= (async () => {
    const built = await Bun.build({ entrypoints: [join(HERE, "driver.ts")], target: "node" });
    const path = join(HERE, "../../../dist/test/scanner-driver.mjs");
    await Bun.write(path, built.outputs[0] as Blob);
    return path;
  })();
  return bundle;
}

const COMMANDS = {
  node: async () => ["node", await bundled()],
  bun: async () => [process.execPath, await bundled()],
  "python, one thread": async () => [PYTHON, join(HERE, "driver.py")],
  "python, 16 threads": async () => [PYTHON, join(HERE, "driver.py")],
  "python, asyncio": async () => [PYTHON, join(HERE, "driver.py")],
};
const MODES: Partial<Record<DriverName, string>> = {
  "python, one thread": "submit",
  "python, 16 threads": "threads",
  "python, asyncio": "asyncio",
};

export type DriverName = keyof typeof COMMANDS;
export const DRIVERS = Object.keys(COMMANDS) as DriverName[];

/** Starts a driver, which ends with the test. */
export async function startDriver(name: DriverName, socket: string, maxBytes = 2 ** 26): Promise<Driver> {
  const command = [...(await COMMANDS[name]()), socket, String(maxBytes), MODES[name] ?? ""];
  const child = Bun.spawn(command, {
    cwd: emptyDir(),
    env: { ...process.env, PYTHONPATH: PYTHON_PATH, PYTHONDONTWRITEBYTECODE: "1" },
    stdin: "pipe",
    stdout: "pipe",
    stderr: "inherit",
  });
  atEnd(() => child.kill("SIGKILL"));
  const outcomes: Outcome[] = [];
  const problems: string[] = [];
  const summary = read(child.stdout, outcomes, problems);
  return {
    outcomes,
    problems,
    give(...events) {
      child.stdin.write(events.map((event) => `${JSON.stringify(event)}\n`).join(""));
      child.stdin.flush();
    },
    settled: (count) => until(`${count} are settled`, () => outcomes.length >= count, 20_000),
    troubled() {
      const before = problems.length;
      return until("a problem is told of", () => problems.length > before, 20_000);
    },
    async end() {
      await child.stdin.end();
      const code = await child.exited;
      if (code !== 0) throw new Error(`the driver ended with ${code}`);
      return { outcomes: outcomes.toSorted((a, b) => a.n - b.n), summary: await summary };
    },
  };
}

async function read(
  stdout: ReadableStream<Uint8Array>,
  outcomes: Outcome[],
  problems: string[],
): Promise<Summary> {
  let last = "";
  let rest = "";
  const decoder = new TextDecoder();
  for await (const chunk of stdout) {
    const lines = (rest + decoder.decode(chunk, { stream: true })).split("\n");
    rest = lines.pop() ?? "";
    for (const line of lines) {
      const value = JSON.parse(line);
      if ("closed" in value) last = line;
      else if ("problem" in value) problems.push(value.problem);
      else outcomes.push(value);
    }
  }
  return JSON.parse(last) as Summary;
}
