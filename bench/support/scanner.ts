import { type Bench, check, within } from "./bench.ts";
import type { Tier } from "./event.ts";
import type { ScannerMethods } from "./programs/scanner.ts";

/** A scanner in a process of its own, connected to a daemon's socket; every ack is checked. */
export interface Scanner {
  /** Writes the events as fast as they are taken; times of the first byte and of the last ack. */
  flood(input: FloodInput): Promise<FloodTimes>;
  /** Writes so many events a second; the time at which each was written. */
  steady(input: SteadyInput): Promise<number[]>;
}

export interface FloodInput {
  /** Whose events they are, in turn. */
  organizationIds: readonly string[];
  count: number;
  /** Webhooks that each event goes to. */
  deliveriesEach: number;
}

export interface FloodTimes {
  startedAt: number;
  lastAckAt: number;
}

export interface SteadyInput {
  organizationId: string;
  rate: number;
  count: number;
  tier?: Tier;
  /** Webhooks that each event goes to; null where that changes meanwhile. */
  deliveriesEach: number | null;
}

/** Beside the time that a steady pace takes by itself. */
const LONGEST_MS = 300_000;

export async function connectScanner(bench: Bench, socket: string, connections = 4): Promise<Scanner> {
  const { call } = bench.program<ScannerMethods>("scanner");
  await call("connect", { path: socket, count: connections });
  return {
    async flood({ organizationIds, count, deliveriesEach }) {
      await call("prepare", { organizationIds, count, connections });
      const result = await within("sending events", LONGEST_MS, call("flood"));
      checkAcks(result, count, deliveriesEach);
      return result;
    },
    async steady({ deliveriesEach, ...input }) {
      const planned = (input.count / input.rate) * 1_000;
      const result = await within("sending events", planned + LONGEST_MS, call("steady", input));
      checkAcks(result, input.count, deliveriesEach);
      return result.sentAt;
    },
  };
}

interface Acks {
  acked: number;
  deliveries: number;
  refused: string[];
}

function checkAcks({ acked, deliveries, refused }: Acks, count: number, deliveriesEach: number | null): void {
  check(`every event was accepted: ${refused.join(" ")}`, refused.length === 0);
  check(`every event was acked (${acked} of ${count})`, acked === count);
  if (deliveriesEach === null) return;
  check(`each got its deliveries (${deliveries})`, deliveries === count * deliveriesEach);
}
