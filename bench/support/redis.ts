import { rmSync } from "node:fs";
import { join } from "node:path";
import { RedisClient } from "bun";
import type { Bench } from "./bench.ts";

export interface RedisServer {
  url: string;
  /** Ends it and removes its files, so that what it left does not fall on what is measured next. */
  stop(): Promise<void>;
}

/** A redis-server of the system with an append-only file. */
export async function startRedis(bench: Bench, program: string): Promise<RedisServer> {
  const dir = bench.newDir();
  const socket = join(dir, "redis.sock");
  const settings = ["--port", "0", "--unixsocket", socket, "--dir", dir, "--save", ""];
  const child = Bun.spawn([program, ...settings, "--appendonly", "yes", "--appendfsync", "everysec"], {
    stdin: "ignore",
    stdout: "ignore",
    stderr: "inherit",
  });
  const stop = async (): Promise<void> => {
    child.kill("SIGKILL");
    await child.exited;
    rmSync(dir, { recursive: true, force: true });
  };
  bench.defer(stop);
  const url = `redis+unix://${socket}`;
  await answering(url);
  return { url, stop };
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
