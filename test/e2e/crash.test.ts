import { Database } from "bun:sqlite";
import { afterEach, expect, test } from "bun:test";
import { join } from "node:path";
import { type RunningDaemon, scan, until } from "../support/daemon.ts";
import {
  atEnd,
  cleanUp,
  emptyDir,
  type Registered,
  receive,
  register,
  startBinary,
  verify,
} from "../support/e2e.ts";
import { chooseSeed, randomFrom } from "../support/random.ts";
import type { Received, Receiver } from "../support/receiver.ts";
import { createResendingScanner, type ResendingScanner } from "../support/resending-scanner.ts";

afterEach(cleanUp);

const EVENTS = 5_000;
const STOPS = 12;
const WEBHOOKS = 3;
/** Requests to one webhook that can be in flight at a kill. */
const IN_FLIGHT = 8;
const ARGS =
  `--webhook-concurrency ${IN_FLIGHT} --retry-min-delay 20ms --retry-factor 1 --log-level warn`.split(" ");
const MAX_LIFE_MS = 350;
/** A start takes longer than this: a kill within it hits the opening of the database. */
const MAX_START_MS = 60;
const ANSWER_MS = 8;
/** How many of its requests the last webhook's receiver refuses. */
const REFUSED_SHARE = 0.03;

interface World {
  random: () => number;
  dir: string;
  key: string;
  scanner: ResendingScanner;
  receivers: Receiver[];
  /** Requests that were answered with 500. */
  refused: Set<Received>;
  webhooks: Registered[];
  /** For each end of a daemon, how many requests each receiver had got by then. */
  marks: number[][];
}

async function createWorld(): Promise<World> {
  const random = randomFrom(chooseSeed());
  const dir = emptyDir();
  const lines = Array.from({ length: EVENTS }, (_, i) =>
    JSON.stringify(scan({ id: `scan-${i}`, latency_ms: i, tier: ["red", "yellow", "green"][i % 3] })),
  );
  const scanner = createResendingScanner(lines);
  atEnd(() => scanner.close());
  const refused = new Set<Received>();
  const answerOf = (share: number) => async (request: Received) => {
    const refuses = random() < share;
    if (refuses) refused.add(request);
    await Bun.sleep(random() * ANSWER_MS);
    return new Response(null, { status: refuses ? 500 : 200 });
  };
  const receivers = [0, 0, REFUSED_SHARE].map((share) => receive(answerOf(share)));
  const daemon = await startBinary({ dir, args: ARGS });
  const webhooks: Registered[] = [];
  for (const { url } of receivers) webhooks.push(await register(daemon, url));
  expect(await daemon.stop()).toBe(0);
  return { random, dir, key: daemon.key, scanner, receivers, refused, webhooks, marks: [] };
}

/** Notes what had arrived when a daemon ended, once the requests that were on their way have been read. */
async function mark({ receivers, marks }: World): Promise<void> {
  await Bun.sleep(30);
  marks.push(receivers.map(({ received }) => received.length));
}

/** One life: it takes its share of the events, and ends at a random moment. */
async function live(world: World, share: number): Promise<RunningDaemon> {
  const { dir, key, scanner, random } = world;
  scanner.allow(share);
  const daemon = await startBinary({ dir, key, args: ARGS });
  scanner.connect(daemon.socket);
  await Bun.sleep(random() * MAX_LIFE_MS);
  return daemon;
}

/** A life that is ended about when the daemon becomes ready: it may have sent something by then. */
async function stillbirth(world: World): Promise<void> {
  const { dir, random } = world;
  const delay = random() * MAX_START_MS;
  const started = startBinary({
    dir,
    args: ARGS,
    onSpawn: (pid) => setTimeout(() => process.kill(pid, "SIGKILL"), delay),
  });
  await started.then((daemon) => daemon.exited).catch(() => {});
  await mark(world);
}

function idOf({ headers }: Received): string {
  return headers["webhook-id"] as string;
}

/** The last life: everything is sent, everything arrives. */
async function finish(world: World): Promise<void> {
  const daemon = await live(world, EVENTS);
  await until("every line is acked", () => world.scanner.acked.size === EVENTS, 20_000);
  for (const { received } of world.receivers) {
    const arrived = () => new Set(received.filter((one) => !world.refused.has(one)).map(idOf)).size;
    await until("every event has arrived", () => received.length >= EVENTS && arrived() >= EVENTS, 30_000);
  }
  expect(await daemon.stop()).toBe(0);
  await mark(world);
}

/** Every event that was acked, and no other, has arrived at each webhook as it was sent and well signed. */
function checkArrivals({ scanner, receivers, refused, webhooks }: World): void {
  const ids = new Set(scanner.acked.values());
  expect(ids.size).toBe(EVENTS);
  for (const [i, { received }] of receivers.entries()) {
    const arrived = new Set<string>();
    for (const request of received) {
      verify(webhooks[i] as Registered, request);
      const id = idOf(request);
      const { latency_ms, tier } = JSON.parse(request.body);
      // Also proves that no line was stored twice: each line has arrived under the id of its ack only.
      if (scanner.acked.get(latency_ms) !== id) throw new Error(`line ${latency_ms} arrived as ${id}`);
      if (tier !== ["red", "yellow", "green"][latency_ms % 3]) throw new Error(`line ${latency_ms}: ${tier}`);
      if (!refused.has(request)) arrived.add(id);
    }
    expect(arrived).toEqual(ids);
  }
}

/** How many successes of each life were repeated in a later one. Fails when one was repeated in the same life. */
function repeatsByLife({ receivers, refused, marks }: World): number[] {
  const repeats = marks.map(() => 0);
  for (const [i, { received }] of receivers.entries()) {
    const succeededIn = new Map<string, number>();
    let life = 0;
    for (const [n, request] of received.entries()) {
      while (n >= (marks[life]?.[i] as number)) life += 1;
      const id = idOf(request);
      const earlier = succeededIn.get(id);
      if (earlier === life) throw new Error(`${id} was sent twice by the same daemon`);
      if (earlier !== undefined) repeats[earlier] = (repeats[earlier] as number) + 1;
      // What is tried again after a repeat that was refused is no second repeat.
      succeededIn.delete(id);
      if (!refused.has(request)) succeededIn.set(id, life);
    }
  }
  return repeats;
}

function checkTables({ dir }: World): void {
  const sqlite = new Database(join(dir, "data/armorhooks.db"), { readonly: true });
  atEnd(() => sqlite.close());
  const one = (sql: string) => Object.values(sqlite.query(sql).get() as object)[0];
  expect(one("PRAGMA integrity_check")).toBe("ok");
  expect(one("SELECT count(*) FROM events")).toBe(EVENTS);
  expect(one("SELECT count(*) FROM deliveries")).toBe(EVENTS * WEBHOOKS);
  expect(one("SELECT count(*) FROM deliveries WHERE status = 1")).toBe(EVENTS * WEBHOOKS);
  // Each was delivered by the latest of its attempts, and the ones before it are there too.
  expect(one("SELECT count(*) FROM deliveries WHERE last_status = 200 AND last_started_at > 0")).toBe(
    EVENTS * WEBHOOKS,
  );
  expect(one("SELECT sum(attempt_count) FROM deliveries")).toBe(
    EVENTS * WEBHOOKS + Number(one("SELECT count(*) FROM attempts")),
  );
}

const shareOf = (stop: number) => Math.floor((EVENTS * (stop + 1)) / (STOPS + 1));

test("SIGKILL at random moments loses nothing, and repeats only what was in flight", async () => {
  const world = await createWorld();
  for (let stop = 0; stop < STOPS; stop += 1) {
    if (stop % 4 === 3) await stillbirth(world);
    const daemon = await live(world, shareOf(stop));
    expect(await daemon.stop("SIGKILL")).not.toBe(0);
    await mark(world);
  }
  await finish(world);
  checkArrivals(world);
  checkTables(world);
  const repeats = repeatsByLife(world);
  const { resent, duplicates } = world.scanner;
  console.log(
    `repeats after each kill: ${repeats}; lines sent again: ${resent}, ${duplicates} of them known`,
  );
  for (const count of repeats) expect(count).toBeLessThanOrEqual(IN_FLIGHT * WEBHOOKS);
  // Otherwise the kills have hit nothing that was under way.
  expect(Math.max(...repeats) + resent).toBeGreaterThan(0);
}, 60_000);

test("SIGTERM at random moments loses nothing, repeats nothing and exits 0", async () => {
  const world = await createWorld();
  for (let stop = 0; stop < STOPS; stop += 1) {
    const daemon = await live(world, shareOf(stop));
    expect(await daemon.stop()).toBe(0);
    await mark(world);
  }
  await finish(world);
  checkArrivals(world);
  checkTables(world);
  for (const { received } of world.receivers) {
    expect(received.filter((request) => !world.refused.has(request))).toHaveLength(EVENTS);
  }
}, 60_000);
