import { type Bench, check, type Line, type Row } from "../support/bench.ts";
import { type Daemon, startDaemon } from "../support/daemon.ts";
import { createKey, LOOPBACK } from "../support/installation.ts";
import { type Receiver, startReceiver } from "../support/receiver.ts";
import { EACH, registerMany } from "../support/registered.ts";
import { connectScanner } from "../support/scanner.ts";
import { allWritten } from "../support/scenarios.ts";
import { formatBytes, formatMs, formatRate, median, perSecond } from "../support/statistics.ts";

const PORTS = 100;
const SMALL = 100;
const LISTS = 9;
const SETTLE_MS = 1_000;

/** What is measured of an installation with so many webhooks; a list of numbers has one for each round. */
interface Size {
  webhooks: number;
  dataDir: string;
  organizationIds: string[];
  secrets: string[];
  /** Milliseconds that the store takes to register one of them, with all before it there. */
  registerMs: number;
  ready: number[];
  rates: number[];
  /** Resident bytes once all of them were sent to. */
  memory: number[];
}

/** The cost of having many webhooks, most of which have nothing to do. */
export const manyWebhooksRow: Row = {
  name: "many-webhooks",
  async run(bench) {
    const receiver = await startReceiver(bench, { ports: PORTS, cheap: true });
    const sizes: Size[] = [];
    for (const count of [SMALL, bench.size(10_000, 1_000), bench.size(100_000, 3_000)]) {
      const { eachMs, ...registered } = await registerMany(bench, receiver, count);
      sizes.push({ webhooks: count, ...registered, registerMs: eachMs, ready: [], rates: [], memory: [] });
    }
    const deliveries = bench.size(100_000, 3_000);
    for (let round = 0; round < bench.rounds; round += 1) {
      for (const size of sizes) await flood(bench, receiver, size, deliveries);
    }
    const [small, large, huge] = sizes as [Size, Size, Size];
    return [
      rateLine(large, small, 0.9),
      rateLine(huge, small, 0.8),
      startLine(large, small),
      startLine(huge, small),
      memoryLine(`${shown(large)} webhooks, all sent to: resident memory`, median(large.memory), 110e6),
      memoryLine(
        `${shown(huge)} webhooks, ${shown({ webhooks: EACH })} of them sent to: resident memory`,
        await partlyActive(bench, receiver, huge),
        150e6,
      ),
      registerLine(huge, large),
      await listLine(bench, huge),
    ];
  },
};

function start(bench: Bench, { dataDir }: Size): Promise<Daemon> {
  return startDaemon(bench, { dataDir, args: LOOPBACK });
}

async function flood(bench: Bench, receiver: Receiver, size: Size, deliveries: number): Promise<void> {
  const daemon = await start(bench, size);
  size.ready.push(daemon.readyAt - daemon.spawnedAt);
  size.rates.push(await send(bench, receiver, daemon, size, deliveries));
  await Bun.sleep(SETTLE_MS);
  size.memory.push(daemon.memory().resident);
  await daemon.stop();
}

/** Deliveries a second, from the first byte on the socket until the receiver has the last request. */
async function send(
  bench: Bench,
  receiver: Receiver,
  daemon: Daemon,
  { webhooks, organizationIds, secrets }: Pick<Size, "webhooks" | "organizationIds" | "secrets">,
  deliveries: number,
): Promise<number> {
  const deliveriesEach = Math.min(webhooks, EACH);
  await receiver.expect(deliveries);
  const scanner = await connectScanner(bench, daemon.socket);
  const { startedAt } = await scanner.flood({
    organizationIds,
    count: deliveries / deliveriesEach,
    deliveriesEach,
  });
  const { lastAt } = await receiver.reached(({ request }) => secrets[numberIn(request)] ?? "");
  await allWritten(daemon);
  return perSecond(deliveries, lastAt - startedAt);
}

async function partlyActive(bench: Bench, receiver: Receiver, size: Size): Promise<number> {
  const daemon = await start(bench, size);
  const one = { ...size, organizationIds: size.organizationIds.slice(0, 1) };
  await send(bench, receiver, daemon, one, EACH * bench.size(20, 3));
  await Bun.sleep(SETTLE_MS);
  const { resident } = daemon.memory();
  await daemon.stop();
  return resident;
}

/** Which webhook a request is for: its URL ends with that. */
function numberIn(request: string): number {
  return Number(/^POST \S*\/(\d+) /.exec(request)?.[1]);
}

const shown = ({ webhooks }: Pick<Size, "webhooks">): string => webhooks.toLocaleString("en");

function rateLine(size: Size, small: Size, goal: number): Line {
  const ratios = size.rates.map((rate, round) => rate / (small.rates[round] as number));
  const ratio = median(ratios);
  return {
    name: `deliveries to ${shown(size)} webhooks, from the socket on`,
    figure: formatRate(median(size.rates)),
    limit: `to ${shown(small)} ${formatRate(median(small.rates))}`,
    ratio: ratio.toFixed(2),
    goal: `≥ ${goal}`,
    reached: ratio >= goal,
    values: { rate: median(size.rates), small: median(small.rates), ratio },
  };
}

function startLine(size: Size, small: Size): Line {
  const ratio = median(size.ready) / median(small.ready);
  return {
    name: `${shown(size)} webhooks: start until ready`,
    figure: formatMs(median(size.ready)),
    limit: `with ${shown(small)} ${formatMs(median(small.ready))}`,
    ratio: ratio.toFixed(2),
    goal: "≤ 1.3",
    reached: ratio <= 1.3,
    values: { ready: median(size.ready), small: median(small.ready), ratio },
  };
}

function memoryLine(name: string, bytes: number, goal: number): Line {
  return {
    name,
    figure: formatBytes(bytes),
    limit: "",
    ratio: "",
    goal: `≤ ${formatBytes(goal)}`,
    reached: bytes <= goal,
    values: { bytes },
  };
}

function registerLine(size: Size, smaller: Size): Line {
  const ratio = size.registerMs / smaller.registerMs;
  return {
    name: `registering one of ${shown(size)} webhooks, in the store`,
    figure: formatMs(size.registerMs),
    limit: `of ${shown(smaller)} ${formatMs(smaller.registerMs)}`,
    ratio: ratio.toFixed(2),
    goal: "flat: ≤ 1.3",
    reached: ratio <= 1.3,
    values: { registerMs: size.registerMs, smaller: smaller.registerMs, ratio },
  };
}

async function listLine(bench: Bench, size: Size): Promise<Line> {
  const daemon = await start(bench, size);
  const authorization = `Bearer ${createKey(size.dataDir, size.organizationIds[0] ?? "")}`;
  const times: number[] = [];
  for (let i = 0; i < LISTS; i += 1) {
    const startedAt = performance.now();
    const answer = await fetch(`${daemon.url}/v1/webhooks`, { headers: { authorization } });
    const { webhooks } = (await answer.json()) as { webhooks: unknown[] };
    times.push(performance.now() - startedAt);
    check(`${EACH} webhooks are listed (${webhooks.length})`, webhooks.length === EACH);
  }
  await daemon.stop();
  return {
    name: `a list of ${shown({ webhooks: EACH })} of ${shown(size)} webhooks, through the API`,
    figure: formatMs(median(times)),
    limit: "",
    ratio: "",
    goal: "≤ 20 ms",
    reached: median(times) <= 20,
    values: { list: median(times) },
  };
}
