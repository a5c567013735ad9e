import { readdirSync, statSync } from "node:fs";
import { join } from "node:path";
import { type Bench, check, type Line, type Row, within } from "../support/bench.ts";
import { type Installation, install, type Registered } from "../support/installation.ts";
import type { Behaviour } from "../support/programs/receiver.ts";
import { type Receiver, startReceiver } from "../support/receiver.ts";
import { connectScanner } from "../support/scanner.ts";
import { formatBytes, slope } from "../support/statistics.ts";

const ORGANIZATIONS = 3;
/** Events a second of each organization. */
const RATE = 50;
const LIMITED_RATE = 1;
const RETENTION_MINUTES = 10;
const SAMPLE_MS = 2_000;
const POLL_MS = 1_000;
/** The last retries of what failed by chance. */
const LAST_RETRIES_MS = 120_000;
/** What a process grows by while it gets going is no leak. */
const WARM_UP = 1 / 3;
const ARGS = ["--retry-min-delay", "1s", "--retry-factor", "1", "--retention", `${RETENTION_MINUTES}m`];

/** Receivers that get every event of their organization, each in its own way. */
const KINDS: Record<string, Behaviour | null> = {
  healthy: null,
  flaky: { kind: "flaky", milliseconds: 0 },
  slow: { kind: "distant", milliseconds: 300 },
};
const LIMITED: Behaviour = { kind: "limited", milliseconds: 500 };

interface Sample {
  /** Minutes since the first. */
  at: number;
  resident: number;
  descriptors: number;
  database: number;
  log: number;
}

/** One organization's webhooks, with the receivers at which everything must arrive, once. */
interface Tenant {
  id: string;
  key: string;
  webhooks: Registered[];
  arriving: { receiver: Receiver; secret: string; expected: number; kind: string }[];
}

/** Everything at once for minutes: each delivery is counted, and what grows is seen. */
export const soakRow: Row = {
  name: "soak",
  async run(bench) {
    const seconds = Math.round(60 * bench.minutes);
    const receivers = await startReceivers(bench);
    const [first, ...others] = receivers;
    const installation = await install(bench, { webhooks: webhooksOf(first as Endpoints), args: ARGS });
    const tenants = [tenantOf(installation, installation.webhooks, first as Endpoints, seconds)];
    for (const endpoints of others) {
      const { id, key, webhooks } = await installation.addOrganization(webhooksOf(endpoints));
      tenants.push(tenantOf({ organizationId: id, key }, webhooks, endpoints, seconds));
    }
    for (const { receiver, expected } of tenants.flatMap(({ arriving }) => arriving)) {
      await receiver.expect(expected);
    }
    const samples: Sample[] = [];
    const watching = watch(installation, samples);
    const polling = poll(installation, tenants);
    await Promise.all(tenants.map((tenant) => send(bench, installation, tenant, seconds)));
    await polling.stop();
    await watching.stop();
    const arrived = await allArrived(tenants);
    // Those of the dead receivers, which are never pruned.
    const pending = await installation.daemon.metric("armorhooks_pending_deliveries");
    await installation.daemon.stop();
    return [line(bench, samples, { arrived, pending, calls: polling.count() })];
  },
};

interface Endpoints {
  receivers: { kind: string; receiver: Receiver }[];
  dead: number;
}

async function startReceivers(bench: Bench): Promise<Endpoints[]> {
  const all: Endpoints[] = [];
  for (let i = 0; i < ORGANIZATIONS; i += 1) {
    const receivers: Endpoints["receivers"] = [];
    for (const [kind, behaviour] of Object.entries(KINDS)) {
      receivers.push({ kind, receiver: await startReceiver(bench, { behaviour }) });
    }
    const limited = await startReceiver(bench, { behaviour: LIMITED });
    receivers.push({ kind: "limited", receiver: limited });
    all.push({ receivers, dead: await limited.closedPort() });
  }
  return all;
}

/** In the order of the receivers; the dead one is last. */
function webhooksOf({ receivers, dead }: Endpoints) {
  const alive = receivers.map(({ kind, receiver }) => ({
    url: `http://127.0.0.1:${receiver.ports[0]}/hook`,
    tier: kind === "limited" ? ("yellow" as const) : ("red" as const),
  }));
  return [...alive, { url: `http://127.0.0.1:${dead}/hook` }];
}

function tenantOf(
  { organizationId, key }: Pick<Installation, "organizationId" | "key">,
  webhooks: Registered[],
  { receivers }: Endpoints,
  seconds: number,
): Tenant {
  return {
    id: organizationId,
    key,
    webhooks,
    arriving: receivers.map(({ kind, receiver }, i) => ({
      kind,
      receiver,
      secret: webhooks[i]?.secret ?? "",
      expected: seconds * (kind === "limited" ? LIMITED_RATE : RATE),
    })),
  };
}

async function send(bench: Bench, { daemon }: Installation, { id }: Tenant, seconds: number): Promise<void> {
  const [red, yellow] = [
    await connectScanner(bench, daemon.socket, 1),
    await connectScanner(bench, daemon.socket, 1),
  ];
  await Promise.all([
    // The webhook whose receiver is dead is given up in the end; receivers count what comes to the others.
    red.steady({ organizationId: id, rate: RATE, count: RATE * seconds, deliveriesEach: null }),
    yellow.steady({
      organizationId: id,
      rate: LIMITED_RATE,
      count: LIMITED_RATE * seconds,
      tier: "yellow",
      deliveriesEach: 1,
    }),
  ]);
}

/** Calls `act` now and then, one call at a time; `stop` waits for the last one. */
function repeatedly(milliseconds: number, act: () => unknown): { stop(): Promise<void> } {
  let stopped = false;
  const loop = (async () => {
    while (!stopped) {
      await act();
      await Bun.sleep(milliseconds);
    }
  })();
  loop.catch(() => {});
  return {
    stop: () => {
      stopped = true;
      return loop;
    },
  };
}

/** What people and their tools do meanwhile: lists, changes, webhooks that come and go, metrics. */
function poll({ daemon }: Installation, tenants: readonly Tenant[]) {
  let count = 0;
  const call = async (method: string, path: string, key: string, body?: object): Promise<unknown> => {
    const answer = await fetch(`${daemon.url}${path}`, {
      method,
      headers: { authorization: `Bearer ${key}`, "content-type": "application/json" },
      ...(body && { body: JSON.stringify(body) }),
    });
    const text = await answer.text();
    check(`${method} ${path} was answered well: ${answer.status} ${text.slice(0, 200)}`, answer.ok);
    count += 1;
    return text === "" || path === "/metrics" ? null : JSON.parse(text);
  };
  const polling = repeatedly(POLL_MS, async () => {
    for (const { key, webhooks } of tenants) {
      await call("GET", "/v1/webhooks", key);
      for (const { id } of webhooks) await call("GET", `/v1/webhooks/${id}/deliveries`, key);
      await call("PATCH", `/v1/webhooks/${webhooks[0]?.id}`, key, { name: `healthy ${count}` });
      const input = { url: webhooks[0]?.url, events: ["green_tier"] };
      const { webhook } = (await call("POST", "/v1/webhooks", key, input)) as { webhook: Registered };
      await call("DELETE", `/v1/webhooks/${webhook.id}`, key);
    }
    await call("GET", "/metrics", "");
  });
  return { stop: polling.stop, count: () => count };
}

function watch({ daemon, dataDir }: Installation, samples: Sample[]): { stop(): Promise<void> } {
  const startedAt = performance.now();
  const sizeOf = (directory: string, matches: (name: string) => boolean): number =>
    readdirSync(directory)
      .filter(matches)
      .reduce((sum, name) => sum + statSync(join(directory, name)).size, 0);
  return repeatedly(SAMPLE_MS, () => {
    samples.push({
      at: (performance.now() - startedAt) / 60_000,
      resident: daemon.memory().resident,
      descriptors: readdirSync(`/proc/${daemon.pid}/fd`).length,
      database: sizeOf(dataDir, (name) => name.startsWith("armorhooks.db")),
      log: sizeOf(join(dataDir, ".."), (name) => name.endsWith(".log")),
    });
  });
}

/** How many arrived; each once, and none that was not sent. */
async function allArrived(tenants: readonly Tenant[]): Promise<number> {
  let sum = 0;
  for (const { kind, receiver, secret, expected } of tenants.flatMap(({ arriving }) => arriving)) {
    const report = await within(
      `the last deliveries of a ${kind} receiver`,
      LAST_RETRIES_MS,
      receiver.reached([secret]),
    );
    sum += report.count;
    check(`a ${kind} receiver got each delivery once`, report.count === expected);
  }
  return sum;
}

interface Counts {
  arrived: number;
  pending: number;
  calls: number;
}

function line(bench: Bench, samples: readonly Sample[], { arrived, pending, calls }: Counts): Line {
  const settled = samples.slice(Math.floor(samples.length * WARM_UP));
  const last = settled.at(-1) as Sample;
  const growth = (of: (sample: Sample) => number): number =>
    slope(settled.map((sample) => [sample.at, of(sample)]));
  const values = {
    arrived,
    pending,
    calls,
    resident: last.resident,
    residentPerMinute: growth(({ resident }) => resident),
    descriptors: last.descriptors,
    descriptorsPerMinute: growth(({ descriptors }) => descriptors),
    databasePerMinute: growth(({ database }) => database),
    logPerMinute: growth(({ log }) => log),
  };
  const perMinute = (bytes: number): string => `${(bytes / 1e6).toFixed(2)} MB a minute`;
  return {
    name: `soak of ${bench.minutes} minutes: ${ORGANIZATIONS * RATE} events/s, healthy, flaky, slow, limited, dead`,
    figure: `${arrived.toLocaleString("en")} deliveries, each once; ${formatBytes(last.resident)}`,
    limit: "",
    ratio: "",
    goal: "",
    reached: null,
    note:
      `memory ${perMinute(values.residentPerMinute)}, database ${perMinute(values.databasePerMinute)} ` +
      `(retention ${RETENTION_MINUTES} minutes; ${pending.toLocaleString("en")} pending for dead receivers), log ${perMinute(values.logPerMinute)}; ` +
      `${last.descriptors} descriptors, ${values.descriptorsPerMinute.toFixed(2)} a minute; ${calls} API calls`,
    values,
  };
}
