import { Webhook } from "standardwebhooks";
import { type Bench, check, within } from "./bench.ts";
import type { Certificates } from "./certificates.ts";
import { type ReceiverCalls, startCheapReceiver } from "./cheap-receiver.ts";
import type { Behaviour, ReceiverMethods, Report, Sample } from "./programs/receiver.ts";

/** A receiver in a process of its own. */
export interface Receiver {
  readonly ports: readonly number[];
  /** Forgets what came so far and waits for so many requests. */
  expect(count: number, options?: { sequences?: boolean }): Promise<void>;
  /** When the last of the expected requests came; then looks for repeats and checks signatures. Secrets are by port. */
  reached(secrets: readonly string[] | SecretOf): Promise<Report>;
  report(): Promise<Report>;
  /** Milliseconds from each moment of sending to the arrival of the request with that sequence number. */
  latencies(sentAt: readonly number[]): Promise<number[]>;
  closedPort(): Promise<number>;
}

/** With which secret a request must be signed. */
export type SecretOf = (sample: Sample) => string;

export interface ReceiverOptions {
  ports?: number;
  tls?: Certificates;
  answers?: boolean;
  /** Null for an ideal one. */
  behaviour?: Behaviour | null;
  /** Whether it is to cost next to nothing, for rows that measure the daemon's own cost; it is ideal then. */
  cheap?: boolean;
}

const LONGEST_RUN_MS = 300_000;
/** Time for requests that should not come. */
const SETTLE_MS = 200;
const SAMPLES = 100;

export async function startReceiver(
  bench: Bench,
  { cheap = false, ports = 1, ...options }: ReceiverOptions = {},
): Promise<Receiver> {
  const calls = cheap ? await startCheapReceiver(bench, ports) : null;
  if (calls) return { ...counting(calls), latencies: unable, closedPort: unable };
  return startOnBun(bench, { ports, ...options });
}

async function startOnBun(
  bench: Bench,
  { ports = 1, tls, answers = true, behaviour = null }: ReceiverOptions,
): Promise<Receiver> {
  const { call } = bench.program<ReceiverMethods>("receiver");
  const open = await call("open", {
    ports,
    answers,
    behaviour: behaviour ?? undefined,
    tls: tls && { cert: tls.cert, key: tls.key },
  });
  return {
    ...counting({
      ports: open,
      expect: (count, sampleEvery, sequences) => call("expect", { count, sampleEvery, sequences }),
      reached: () => call("reached"),
      report: () => call("report"),
    }),
    async latencies(sentAt) {
      const { sequences, at } = await call("arrivals");
      return sequences.map((sequence, i) => (at[i] as number) - (sentAt[sequence] as number));
    },
    closedPort: () => call("closedPort"),
  };
}

async function unable(): Promise<never> {
  throw new Error("a cheap receiver notes no times");
}

/** What every receiver is checked for. */
function counting(calls: ReceiverCalls): Omit<Receiver, "latencies" | "closedPort"> {
  let expected = 0;
  return {
    ports: calls.ports,
    async expect(count, { sequences = false } = {}) {
      expected = count;
      await calls.expect(count, Math.max(1, Math.floor(count / SAMPLES)), sequences);
    },
    async reached(secrets) {
      const secretOf = typeof secrets === "function" ? secrets : (one: Sample) => secrets[one.listener] ?? "";
      const lastAt = await within("receiving every request", LONGEST_RUN_MS, calls.reached());
      await Bun.sleep(SETTLE_MS);
      const report = await calls.report();
      check(`${expected} requests came, and no more (${report.count})`, report.count === expected);
      check(`each of them was another one (${report.distinct})`, report.distinct === expected);
      check("there are samples", report.samples.length > 0);
      for (const sample of report.samples) verify(sample, secretOf(sample));
      return { ...report, lastAt };
    },
    report: calls.report,
  };
}

/** Checks a request with the published library, as a receiver would. */
function verify({ request }: Sample, secret: string): void {
  const [head = "", body = ""] = request.split("\r\n\r\n");
  const headers = Object.fromEntries(
    head
      .split("\r\n")
      .slice(1)
      .map((line) => line.split(/:\s*/, 2))
      .map(([name = "", value = ""]) => [name.toLowerCase(), value]),
  );
  const {
    "webhook-id": id = "",
    "webhook-timestamp": seconds,
    "webhook-signature": signatures = "",
  } = headers;
  // Its own `verify` takes nothing that is older than five minutes, as the first samples of a long soak are.
  const expected = new Webhook(secret).sign(id, new Date(Number(seconds) * 1_000), body);
  check(`a request is signed (${signatures})`, signatures.split(" ").includes(expected));
}
