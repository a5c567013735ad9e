import { join } from "node:path";
import type { Bench } from "./bench.ts";
import type { StoreMethods } from "./programs/store.ts";
import type { Receiver } from "./receiver.ts";

/** Webhooks of one organization, where there are many. */
export const EACH = 1_000;

/** A data directory with many webhooks, that no daemon has seen yet. */
export interface Registered {
  dataDir: string;
  organizationIds: string[];
  secrets: string[];
  /** Milliseconds that the store takes to register one of them, with all before it there. */
  eachMs: number;
}

/** Registers webhooks at the ports of a receiver, in organizations of EACH. */
export async function registerMany(bench: Bench, receiver: Receiver, count: number): Promise<Registered> {
  bench.progress(`registering ${count} webhooks`);
  const dataDir = join(bench.newDir(), "data");
  const store = bench.program<StoreMethods>("store");
  await store.call("open", { dataDir });
  const urls = receiver.ports.map((port) => `http://127.0.0.1:${port}/hook`);
  const registered = await store.call("register", { count, each: EACH, urls });
  await store.call("close");
  await store.stop();
  return { dataDir, ...registered };
}
