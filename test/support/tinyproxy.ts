import { existsSync, readFileSync, writeFileSync } from "node:fs";
import { createServer } from "node:net";
import { join } from "node:path";
import { until } from "./daemon.ts";
import { atEnd, emptyDir } from "./e2e.ts";

/** Whether tests of a real proxy must be left out: only where tinyproxy is not installed, and never in CI. */
export const withoutTinyproxy = Bun.which("tinyproxy") === null && !process.env["CI"];
if (withoutTinyproxy) console.warn("tinyproxy is not installed: tests of a real proxy are skipped");

export interface TestProxy {
  port: number;
  /** What it has logged so far: the requests that it got. */
  log(): string;
  stop(): Promise<void>;
}

/** A real HTTP proxy on loopback. `options` are further lines of its configuration. */
export async function startTinyproxy(...options: string[]): Promise<TestProxy> {
  const dir = emptyDir();
  const port = await freePort();
  const logFile = join(dir, "log");
  const lines = [
    `Port ${port}`,
    "Listen 127.0.0.1",
    "Allow 127.0.0.1",
    "Timeout 60",
    `LogFile "${logFile}"`,
    "LogLevel Connect",
    ...options,
  ];
  writeFileSync(join(dir, "conf"), `${lines.join("\n")}\n`);
  const child = Bun.spawn(["tinyproxy", "-d", "-c", join(dir, "conf")], {
    stdout: "ignore",
    stderr: "ignore",
  });
  const stop = async (): Promise<void> => {
    child.kill("SIGKILL");
    await child.exited;
  };
  atEnd(stop);
  await until("the proxy listens", () => accepts(port));
  return { port, log: () => (existsSync(logFile) ? readFileSync(logFile, "utf8") : ""), stop };
}

async function accepts(port: number): Promise<boolean> {
  try {
    const socket = await Bun.connect({ hostname: "127.0.0.1", port, socket: { data() {} } });
    socket.terminate();
    return true;
  } catch {
    return false;
  }
}

function freePort(): Promise<number> {
  return new Promise((resolve) => {
    const server = createServer().listen(0, "127.0.0.1", () => {
      const { port } = server.address() as { port: number };
      server.close(() => resolve(port));
    });
  });
}
