import { join } from "node:path";
import { RedisClient } from "bun";
import type { Bench } from "./bench.ts";

/** A redis-server of the system with an append-only file; null where there is none. Answers its URL. */
export async function startRedis(bench: Bench): Promise<string | null> {
  const program = Bun.which("redis-server");
  if (!program) return null;
  const dir = bench.newDir();
  const socket = join(dir, "redis.sock");
  const settings = ["--port", "0", "--unixsocket", socket, "--dir", dir, "--save", ""];
  const child = Bun.spawn([program, ...settings, "--appendonly", "yes", "--appendfsync", "everysec"], {
    stdin: "ignore",
    stdout: "ignore",
    stderr: "inherit",
  });
  bench.defer(async () => {
    child.kill("SIGKILL");
    await child.exited;
  });
  const url = `redis+unix://${socket}`;
  await answering(url);
  return url;
}

async function answering(url: string): Promise<void> {
  const end = performance.now() + 10_000;
  for (;;) {
    const client = new RedisClient(url, { autoReconnect: false });
    try {
      await client.ping();
      return;
    } catch (error) {
      if (performance.now() > end) throw error;
      await Bun.sleep(20);
    } finally {
      client.close();
    }
  }
}
