import { existsSync, mkdtempSync, rmSync } from "node:fs";
import { connect, type Socket } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";

const ROOT = join(import.meta.dir, "../..");
/** The binary that the end-to-end tests run; ARMORHOOKS_TEST_BINARY names another one. */
export const BINARY = process.env["ARMORHOOKS_TEST_BINARY"] || join(ROOT, "dist/armorhooks");

/** What a command line starts: the compiled binary in the end-to-end tests, the sources elsewhere. */
export function program(compiled: boolean): string[] {
  if (!compiled) return [process.execPath, join(ROOT, "src/main.ts")];
  if (!existsSync(BINARY)) throw new Error('the binary is not built; run "bun run build" first');
  return [BINARY];
}

export interface LogLine {
  level: string;
  msg: string;
  [field: string]: unknown;
}

export interface RunningDaemon {
  pid: number;
  dir: string;
  dataDir: string;
  url: string;
  socket: string;
  /** The bootstrap key; empty when the database was not empty. */
  key: string;
  organizationId: string;
  log: LogLine[];
  /** A request to the API with the bootstrap key; the body of the answer is parsed. */
  // biome-ignore lint/suspicious/noExplicitAny: what an answer holds is what the tests check.
  api(method: string, path: string, body?: unknown): Promise<{ status: number; headers: Headers; body: any }>;
  /** Sends a signal and waits for the end; answers the exit code. */
  stop(signal?: NodeJS.Signals): Promise<number>;
  exited: Promise<number>;
}

export interface StartOptions {
  compiled?: boolean;
  /** A working directory made earlier, to start again on the same data; made when left out. */
  dir?: string;
  args?: string[];
  env?: Record<string, string>;
  /** A key to use when this start bootstraps none. */
  key?: string;
  organizationId?: string;
  /** Told the process id at once, before the daemon is ready. */
  onSpawn?: (pid: number) => void;
  /** A command that becomes the daemon once it has done its part, such as `nice`. */
  through?: readonly string[];
}

/** Flags for receivers on loopback and quick retries. */
export const LOOPBACK = ["--allow-http", "--allow-networks", "127.0.0.0/8,::1/128"];

export function newDir(): string {
  return mkdtempSync(join(tmpdir(), "armorhooks-"));
}

export function removeDir(dir: string): void {
  rmSync(dir, { recursive: true, force: true });
}

/** A plain environment: nothing of the machine's own settings reaches the program. */
function environment(extra: Record<string, string> = {}): Record<string, string> {
  return { PATH: process.env["PATH"] ?? "", HOME: process.env["HOME"] ?? "/", ...extra };
}

/** Starts a daemon on a free port and waits until it is ready; rejects with its output when it ends first. */
export async function startDaemon(options: StartOptions = {}): Promise<RunningDaemon> {
  const dir = options.dir ?? newDir();
  const dataDir = join(dir, "data");
  const args = ["serve", "--bootstrap", "--port", "0", "--data-dir", dataDir, ...(options.args ?? [])];
  const command = [...(options.through ?? []), ...program(options.compiled ?? false)];
  const child = Bun.spawn([...command, ...args], {
    cwd: dir,
    env: environment(options.env),
    stdin: "ignore",
    stdout: "pipe",
    stderr: "pipe",
  });
  options.onSpawn?.(child.pid);
  const log: LogLine[] = [];
  const errors = new Response(child.stderr).text();
  const ready = new Promise<LogLine>((resolve, reject) => {
    readLines(child.stdout, (text) => {
      const line = JSON.parse(text) as LogLine;
      log.push(line);
      if (line.msg === "ready") resolve(line);
    });
    child.exited.then(async (code) => reject(new Error(`ended with ${code}: ${await errors}`)));
  });
  const { url, socket } = (await ready) as unknown as { url: string; socket: string };
  const bootstrap = log.find((line) => "api_key" in line);
  const key = String(bootstrap?.["api_key"] ?? options.key ?? "");
  return {
    pid: child.pid,
    dir,
    dataDir,
    url,
    socket,
    key,
    organizationId: String(bootstrap?.["organization_id"] ?? options.organizationId ?? ""),
    log,
    api: (method, path, body) => request(url, key, method, path, body),
    async stop(signal = "SIGTERM") {
      child.kill(signal);
      return child.exited;
    },
    exited: child.exited,
  };
}

async function readLines(stream: ReadableStream<Uint8Array>, onLine: (line: string) => void): Promise<void> {
  const decoder = new TextDecoder();
  let rest = "";
  for await (const chunk of stream) {
    const lines = (rest + decoder.decode(chunk, { stream: true })).split("\n");
    rest = lines.pop() ?? "";
    for (const line of lines) onLine(line);
  }
}

export async function request(url: string, key: string, method: string, path: string, body?: unknown) {
  const answer = await fetch(url + path, {
    method,
    headers: {
      authorization: `Bearer ${key}`,
      ...(body !== undefined && { "content-type": "application/json" }),
    },
    ...(body !== undefined && { body: typeof body === "string" ? body : JSON.stringify(body) }),
  });
  const text = await answer.text();
  return { status: answer.status, headers: answer.headers, body: text === "" ? null : parse(text) };
}

function parse(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return text;
  }
}

/** Runs a command to its end. */
export async function runCommand(
  args: string[],
  options: {
    compiled?: boolean;
    cwd?: string;
    input?: string;
    env?: Record<string, string>;
    through?: readonly string[];
  } = {},
) {
  const command = [...(options.through ?? []), ...program(options.compiled ?? false)];
  const child = Bun.spawn([...command, ...args], {
    ...(options.cwd && { cwd: options.cwd }),
    env: environment(options.env),
    stdin: options.input === undefined ? "ignore" : new TextEncoder().encode(options.input),
    stdout: "pipe",
    stderr: "pipe",
  });
  const [stdout, stderr, code] = await Promise.all([
    new Response(child.stdout).text(),
    new Response(child.stderr).text(),
    child.exited,
  ]);
  return { stdout, stderr, code };
}

export interface Ack {
  ok: boolean;
  id?: string;
  deliveries?: number;
  duplicate?: boolean;
  error?: { code: string; message: string };
}

export interface Scanner {
  socket: Socket;
  /** Every ack so far, in order. */
  acks: Ack[];
  /** Writes lines (objects become JSON) and waits for one ack each. */
  send(...lines: (object | string)[]): Promise<Ack[]>;
  close(): void;
}

/** A scanner connected to the socket. */
export async function connectScanner(path: string): Promise<Scanner> {
  const socket = connect({ path });
  await new Promise<void>((resolve, reject) => socket.once("connect", resolve).once("error", reject));
  const acks: Ack[] = [];
  let rest = "";
  let onAck = (): void => {};
  socket.setEncoding("utf8");
  socket.on("error", () => {});
  socket.on("close", () => onAck());
  socket.on("data", (text: string) => {
    const lines = (rest + text).split("\n");
    rest = lines.pop() ?? "";
    for (const line of lines) acks.push(JSON.parse(line) as Ack);
    onAck();
  });
  return {
    socket,
    acks,
    async send(...lines) {
      const first = acks.length;
      socket.write(
        `${lines.map((line) => (typeof line === "string" ? line : JSON.stringify(line))).join("\n")}\n`,
      );
      while (acks.length < first + lines.length) {
        if (socket.destroyed) throw new Error("the daemon closed the connection");
        await new Promise<void>((resolve) => {
          onAck = resolve;
        });
      }
      return acks.slice(first, first + lines.length);
    },
    close: () => socket.destroy(),
  };
}

/** A scan event that is valid; fields can be replaced. */
export function scan(fields: Record<string, unknown> = {}): Record<string, unknown> {
  return {
    tier: "red",
    action: "block",
    risk_score: 85,
    signals: [{ domain: "pii", type: "ssn", confidence: 0.98, weight: 50 }],
    latency_ms: 8,
    timestamp: "2026-01-15T10:00:00.000Z",
    ...fields,
  };
}

/** Waits until something holds, looking every few milliseconds; fails with `what` after the time. */
export async function until(
  what: string,
  holds: () => boolean | Promise<boolean>,
  timeoutMs = 10_000,
): Promise<void> {
  const end = performance.now() + timeoutMs;
  while (!(await holds())) {
    if (performance.now() > end) throw new Error(`timed out waiting until ${what}`);
    await Bun.sleep(10);
  }
}
