import { closeSync, existsSync, openSync, readFileSync, readSync } from "node:fs";
import { join } from "node:path";
import { type Bench, check, within } from "./bench.ts";
import { now } from "./clock.ts";

const ROOT = join(import.meta.dir, "../..");
const BINARY = process.env.ARMORHOOKS_TEST_BINARY || join(ROOT, "dist/armorhooks");
const READY_MS = 60_000;
const STOP_MS = 60_000;

export interface Daemon {
  readonly pid: number;
  readonly url: string;
  readonly socket: string;
  readonly spawnedAt: number;
  readonly readyAt: number;
  /** What bootstrap printed, on an empty directory. */
  readonly bootstrap: { organizationId: string; key: string } | null;
  /** Bytes of memory that are resident now, and the most that ever were. */
  memory(): { resident: number; peak: number };
  /** A value of /metrics. */
  metric(name: string): Promise<number>;
  /** SIGTERM; checks that it ended well and that its log tells of no fault. */
  stop(): Promise<void>;
}

export interface DaemonOptions {
  dataDir: string;
  args?: readonly string[];
  /** Beside the plain environment. */
  env?: Record<string, string>;
}

interface LogLine {
  msg: string;
  [field: string]: unknown;
}

/** What a command line begins with. */
export function daemonProgram(profileDir: string | null): string[] {
  const sources = [join(ROOT, "src/main.ts")];
  if (profileDir) return [process.execPath, "--cpu-prof", "--cpu-prof-dir", profileDir, ...sources];
  if (!existsSync(BINARY)) throw new Error('the binary is not built; run "bun run build" first');
  return [BINARY];
}

/** A plain environment: nothing of the machine's own settings reaches the daemon. */
export function plainEnvironment(): Record<string, string> {
  return { PATH: process.env.PATH ?? "", HOME: process.env.HOME ?? "/" };
}

/** Starts `serve` with the log at its default level going to a file, and waits until it is ready. */
export async function startDaemon(
  bench: Bench,
  { dataDir, args = [], env = {} }: DaemonOptions,
): Promise<Daemon> {
  const logFile = `${dataDir}.${Math.random().toString(36).slice(2, 10)}.log`;
  const output = openSync(logFile, "w");
  const command = [...daemonProgram(bench.profileDir), "serve", "--bootstrap", "--port", "0"];
  const spawnedAt = now();
  const child = Bun.spawn([...command, "--data-dir", dataDir, ...args], {
    env: { ...plainEnvironment(), ...env },
    stdin: "ignore",
    stdout: output,
    stderr: "inherit",
  });
  closeSync(output);
  bench.defer(() => child.kill("SIGKILL"));
  const ended = child.exited.then((code) => {
    throw new Error(`the daemon ended with ${code}`);
  });
  const { lines, readyAt } = await within(
    "starting",
    READY_MS,
    Promise.race([readUntilReady(logFile), ended]),
  );
  ended.catch(() => {});
  const ready = lines.at(-1) as LogLine;
  const bootstrap = lines.find((line) => "api_key" in line);
  const url = String(ready.url);
  return {
    pid: child.pid,
    url,
    socket: String(ready.socket),
    spawnedAt,
    readyAt,
    bootstrap: bootstrap
      ? { organizationId: String(bootstrap.organization_id), key: String(bootstrap.api_key) }
      : null,
    memory: () => memoryOf(child.pid),
    metric: async (name) => metricOf(await (await fetch(`${url}/metrics`)).text(), name),
    async stop() {
      child.kill("SIGTERM");
      const code = await within("stopping", STOP_MS, child.exited);
      check(`the daemon ended with 0 (${code})`, code === 0);
      checkLog(logFile);
    },
  };
}

/** Looks at the log every millisecond, as a pipe would have to be read for as long as the daemon runs. */
async function readUntilReady(path: string): Promise<{ lines: LogLine[]; readyAt: number }> {
  const file = openSync(path, "r");
  const buffer = Buffer.alloc(64 * 1024);
  let text = "";
  try {
    for (;;) {
      text += buffer.toString("utf8", 0, readSync(file, buffer));
      const readyAt = now();
      const complete = text.slice(0, text.lastIndexOf("\n") + 1);
      const lines = complete.split("\n").filter((line) => line !== "");
      const index = lines.findIndex((line) => line.includes('"msg":"ready"'));
      if (index >= 0) return { lines: lines.slice(0, index + 1).map((line) => JSON.parse(line)), readyAt };
      await Bun.sleep(1);
    }
  } finally {
    closeSync(file);
  }
}

function checkLog(path: string): void {
  const log = readFileSync(path, "utf8");
  const at = Math.max(log.indexOf('{"level":"error"'), log.indexOf('"msg":"log lines dropped"'));
  check(`the log is complete and tells of no fault: ${at < 0 ? "" : log.slice(at, at + 300)}`, at < 0);
}

function memoryOf(pid: number): { resident: number; peak: number } {
  const status = readFileSync(`/proc/${pid}/status`, "utf8");
  const bytes = (name: string): number =>
    Number(new RegExp(`^${name}:\\s+(\\d+) kB`, "m").exec(status)?.[1]) * 1024;
  return { resident: bytes("VmRSS"), peak: bytes("VmHWM") };
}

function metricOf(text: string, name: string): number {
  return text
    .split("\n")
    .filter((line) => line.startsWith(name) && /[ {]/.test(line[name.length] ?? ""))
    .reduce((sum, line) => sum + Number(line.slice(line.lastIndexOf(" "))), 0);
}
