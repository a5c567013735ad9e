import { spawnSync } from "node:child_process";
import { join } from "node:path";
import type { Bench } from "./bench.ts";
import type { Report } from "./programs/receiver.ts";

/** What a receiver is asked; times are on the clock of clock.ts. */
export interface ReceiverCalls {
  ports: number[];
  /** `sequences`: whether to note when the request with each `latency_ms` came, where it can. */
  expect(count: number, sampleEvery: number, sequences: boolean): Promise<unknown>;
  reached(): Promise<number>;
  report(): Promise<Report>;
}

const SOURCE = join(import.meta.dir, "programs/receiver.c");
const gcc = Bun.which("gcc");

/** Which receiver counts the requests of rows that measure the daemon's own cost. */
export const CHEAP_RECEIVER = gcc ? "a receiver in C" : "a receiver on Bun, as there is no gcc";

/** The receiver that costs next to nothing (programs/receiver.c); null where there is no gcc to build it with. */
export async function startCheapReceiver(bench: Bench, ports: number): Promise<ReceiverCalls | null> {
  if (!gcc) return null;
  const program = join(bench.newDir(), "receiver");
  const { status, stderr } = spawnSync(gcc, ["-O2", "-o", program, SOURCE]);
  if (status !== 0) throw new Error(`gcc cannot build the receiver: ${stderr}`);
  const child = Bun.spawn([program, String(ports)], { stdin: "pipe", stdout: "pipe", stderr: "inherit" });
  bench.defer(() => child.kill("SIGKILL"));
  const lines = linesOf(child.stdout);
  const answer = async (kind: string): Promise<string> => {
    const { value = "" } = await lines.next();
    const [name, rest = ""] = value.split(/ (.*)/s);
    if (name !== kind) throw new Error(`the receiver said "${value.slice(0, 100)}" instead of ${kind}`);
    return rest;
  };
  const ask = (line: string, kind: string): Promise<string> => {
    child.stdin.write(`${line}\n`);
    child.stdin.flush();
    return answer(kind);
  };
  return {
    ports: (await answer("ports")).split(" ").map(Number),
    expect: (count, sampleEvery) => ask(`expect ${count} ${sampleEvery}`, "ok"),
    reached: async () => Number(await ask("reached", "reached")),
    report: async () => toReport(await ask("report", "report")),
  };
}

async function* linesOf(stream: ReadableStream<Uint8Array>): AsyncGenerator<string, undefined> {
  const decoder = new TextDecoder();
  let text = "";
  for await (const chunk of stream) {
    text += decoder.decode(chunk, { stream: true });
    for (let end = text.indexOf("\n"); end >= 0; end = text.indexOf("\n")) {
      yield text.slice(0, end);
      text = text.slice(end + 1);
    }
  }
  return undefined;
}

function toReport(json: string): Report {
  const { samples, ...report } = JSON.parse(json);
  return {
    ...report,
    handshakes: 0,
    refused: 0,
    samples: samples.map(({ listener, hex }: { listener: number; hex: string }) => ({
      listener,
      request: Buffer.from(hex, "hex").toString(),
    })),
  };
}
