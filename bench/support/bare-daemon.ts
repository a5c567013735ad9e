import { join } from "node:path";
import type { Bench } from "./bench.ts";
import type { BareDaemonMethods } from "./programs/bare-daemon.ts";
import { startReceiver } from "./receiver.ts";

/** A program that does for an event as little as any on this runtime could: what a daemon at rest can come close to. */
export interface BareDaemon {
  readonly pid: number;
  /** Takes lines as the daemon's does. */
  readonly socket: string;
  /** How many were answered by its receiver. */
  delivered(): Promise<number>;
}

export async function startBareDaemon(bench: Bench): Promise<BareDaemon> {
  const receiver = await startReceiver(bench, { cheap: true });
  const { pid, call } = bench.program<BareDaemonMethods>("bare-daemon");
  const dir = bench.newDir();
  const socket = join(dir, "bare.sock");
  await call("serve", { dir, socket, port: receiver.ports[0] as number });
  return { pid, socket, delivered: () => call("delivered") };
}
