import { closeSync, openSync } from "node:fs";
import { createTransport } from "../../src/delivery/http/transport.ts";
import { createSender } from "../../src/delivery/send.ts";
import { createTargetGuard, parseCidr } from "../../src/delivery/target-guard.ts";

/** Run with few descriptors: attempts to two receivers of which the ports are given, with all descriptors taken, and after. */
const [first, second] = process.argv.slice(2);
let shortages = 0;
const transport = createTransport({
  ca: null,
  onShortage: () => {
    shortages += 1;
  },
});
const sender = createSender({
  guard: createTargetGuard({ allowNetworks: [parseCidr("127.0.0.0/8")] }),
  resolve: async () => [],
  transport,
  clock: { wall: Date.now, schedule: Date.now },
  version: "0",
  source: "host.test",
  timeoutMs: 2_000,
  maxRetryAfterMs: 0,
  allowHttp: true,
  onFault: (error) => {
    throw error;
  },
});
const send = async (port: string | undefined) => {
  const url = `http://127.0.0.1:${port}/`;
  const target = sender.createTarget({
    url,
    format: "json",
    organizationId: null,
    secrets: ["0".repeat(64)],
  });
  const { status, error, meaning } = await sender.send(target, { eventId: "e", body: "{}" });
  return { status, error, meaning: meaning.kind };
};

const taken: number[] = [];
const takeAll = (): void => {
  try {
    for (;;) taken.push(openSync("/dev/null", "r"));
  } catch {
    // That was the last one.
  }
};

takeAll();
const without = await send(first);
closeSync(taken.pop() as number);
const withOne = await send(first);
// What it needs is the descriptor of the connection that idles now.
const insteadOfIdle = await send(second);
for (const descriptor of taken) closeSync(descriptor);
const after = await send(first);
console.log(
  JSON.stringify({ without, withOne, insteadOfIdle, after, shortages, idle: transport.idleConnections() }),
);
process.exit(0);
