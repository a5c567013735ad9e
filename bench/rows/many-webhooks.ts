import { type Bench, check, type Line, type Row } from "../support/bench.ts";
import { type Daemon, startDaemon } from "../support/daemon.ts";
import { createKey, LOOPBACK } from "../support/installation.ts";
import { ownLoop } from "../support/own-loop.ts";
import { formatRatio, type Spread, spreadOf } from "../support/pairs.ts";
import { type Receiver, type SecretOf, startReceiver } from "../support/receiver.ts";
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
  /** Deliveries a second of a loop over the daemon's transport alone. */
  bareRates: number[];
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
      sizes.push({
        webhooks: count,
        ...registered,
        registerMs: eachMs,
        ready: [],
        rates: [],
        bareRates: [],
        memory: [],
      });
    }
    const deliveries = bench.size(100_000, 3_000);
    for (let round = 0; round < bench.rounds; round += 1) {
      for (const size of sizes) {
        await flood(bench, receiver, size, deliveries);
        size.bareRates.push(await bareRate(bench, receiver, size, deliveries));
      }
    }
    const [small, large, huge] = sizes as [Size, Size, Size];
    return [
      rateLine(large, small, 0.9),
      bareLine(large, small),
      rateLine(huge, small, 0.8),
      bareLine(huge, small),
      startLine(large, small),
      startLine(huge, small),
      memoryLine(`${shown(large)} webhooks, all sent to: resident memory`, median(large.memory), 110e6, {
        name: `of ${shown(small)}, sent as much,`,
        bytes: median(small.memory),
      }),
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
  const { lastAt } = await receiver.reached(secretIn(secrets));
  await allWritten(daemon);
  return perSecond(deliveries, lastAt - startedAt);
}

/** The same requests with nothing stored: what the daemon would come to if all but sending cost nothing. */
async function bareRate(bench: Bench, receiver: Receiver, { secrets }: Size, count: number): Promise<number> {
  const { ports } = receiver;
  const webhooks = secrets.map((secret, i) => ({
    url: `http://127.0.0.1:${ports[i % ports.length]}/hook/${i}`,
    secret,
  }));
  const { rate } = await ownLoop(bench, receiver, {
    count,
    rows: null,
    webhooks,
    secretOf: secretIn(secrets),
  });
  return rate;
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

/** By the number of its webhook, with which a request's URL ends. */
function secretIn(secrets: readonly string[]): SecretOf {
  return ({ request }) => secrets[Number(/^POST \S*\/(\d+) /.exec(request)?.[1])] ?? "";
}

const shown = ({ webhooks }: Pick<Size, "webhooks">): string => webhooks.toLocaleString("en");

/** Of each round. */
function ratiosOf(ours: readonly number[], limits: readonly number[]): Spread {
  return spreadOf(ours.map((each, round) => each / (limits[round] as number)));
}

function rateLine(size: Size, small: Size, goal: number): Line {
  const ratios = ratiosOf(size.rates, small.rates);
  return {
    name: `deliveries to ${shown(size)} webhooks, from the socket on`,
    figure: formatRate(median(size.rates)),
    limit: `to ${shown(small)} ${formatRate(median(small.rates))}`,
    ratio: formatRatio(ratios),
    goal: `≥ ${goal}`,
    reached: ratios.ratio >= goal,
    values: { rate: median(size.rates), small: median(small.rates), ...ratios },
  };
}

/** How much more it costs to send to many webhooks, whoever sends: each has a target and a key of its own. */
function bareLine(size: Size, small: Size): Line {
  const ratios = ratiosOf(size.bareRates, small.bareRates);
  const share = ratiosOf(size.rates, small.rates).ratio / ratios.ratio;
  return {
    name: `the daemon's transport and signatures alone, to ${shown(size)} webhooks`,
    figure: formatRate(median(size.bareRates)),
    limit: `to ${shown(small)} ${formatRate(median(small.bareRates))}`,
    ratio: formatRatio(ratios),
    goal: "",
    reached: null,
    note: `of this ratio the daemon, with all that it stores, keeps ${share.toFixed(2)}`,
    values: { rate: median(size.bareRates), small: median(small.bareRates), ...ratios, share },
  };
}

function startLine(size: Size, small: Size): Line {
  const ratios = ratiosOf(size.ready, small.ready);
  return {
    name: `${shown(size)} webhooks: start until ready`,
    figure: formatMs(median(size.ready)),
    limit: `with ${shown(small)} ${formatMs(median(small.ready))}`,
    ratio: formatRatio(ratios),
    goal: "≤ 1.3",
    reached: ratios.ratio <= 1.3,
    values: { ready: median(size.ready), small: median(small.ready), ...ratios },
  };
}

interface Memory {
  name: string;
  bytes: number;
}

function memoryLine(name: string, bytes: number, goal: number, beside?: Memory): Line {
  return {
    name,
    figure: formatBytes(bytes),
    limit: beside ? `${beside.name} ${formatBytes(beside.bytes)}` : "",
    ratio: beside ? (bytes / beside.bytes).toFixed(2) : "",
    goal: `≤ ${formatBytes(goal)}`,
    reached: bytes <= goal,
    values: { bytes, ...(beside && { beside: beside.bytes }) },
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
