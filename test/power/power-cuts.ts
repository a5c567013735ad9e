/**
 * Power cuts, simulated over the compiled binary: every change and sync that it makes is recorded (recorder.c), disks
 * are built as a cut at any point of that may leave them (disk.ts), and the binary is started on each (check.ts).
 *
 *   ARMORHOOKS_TEST_SEED       repeats the choice of cuts
 *   ARMORHOOKS_POWER_SECONDS   how long to go on making them, 45 if not set: with the recordings, about 90 in all
 */
import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import { join } from "node:path";
import { newDir, removeDir } from "../support/daemon.ts";
import { hasPostgres, startCluster } from "../support/postgres.ts";
import { chooseSeed, randomFrom } from "../support/random.ts";
import { startReceiver } from "../support/receiver.ts";
import { type CutResult, tryCuts } from "./cuts.ts";
import type { SyncKind } from "./disk.ts";
import { forget, type Recording } from "./recording.ts";
import {
  OLD_SCHEMAS,
  recordBackup,
  recordFailure,
  recordFirst,
  recordLife,
  recordMove,
  recordRestore,
  recordRotation,
  recordSlowDisk,
  recordUpgrade,
  type World,
} from "./scenarios.ts";

const gcc = Bun.which("gcc");
if (!gcc && process.env["CI"]) throw new Error("gcc is missing, which builds the recorder");
if (!gcc) console.log("power cuts: skipped, as there is no gcc to build the recorder with");

const SECONDS = Number(process.env["ARMORHOOKS_POWER_SECONDS"] ?? 45);
/** Cuts that a check of the method may take; most find a fault among the first. */
const MOST_CUTS = 300;
const TIMEOUT_MS = 120_000 + SECONDS * 1_000;

describe.skipIf(!gcc)("a power cut at any moment", () => {
  const random = randomFrom(chooseSeed());
  const dir = newDir();
  const kept: Recording[] = [];
  let world: World;
  let first: Recording;
  let life: Recording;

  const keep = (recording: Recording): Recording => {
    kept.push(recording);
    return recording;
  };

  beforeAll(async () => {
    const library = join(dir, "recorder.so");
    const source = join(import.meta.dir, "recorder.c");
    const built = Bun.spawnSync([
      gcc as string,
      "-shared",
      "-fPIC",
      "-O2",
      "-Wall",
      "-Werror",
      "-o",
      library,
      source,
    ]);
    if (built.exitCode !== 0) throw new Error(built.stderr.toString());
    const receiver = startReceiver();
    world = { library, receiver };
    first = keep(await recordFirst(world));
    life = keep(await recordLife(world, first));
  }, TIMEOUT_MS);

  afterAll(async () => {
    await world.receiver.stop();
    for (const recording of kept) forget(recording);
    removeDir(dir);
  });

  /** Cuts for a part of the time, and at least once. */
  const cutFor = async (
    recording: Recording,
    share: number,
    within?: readonly [number, number],
  ): Promise<void> => {
    const end = performance.now() + share * SECONDS * 1_000;
    const result = await tryCuts(recording, {
      random,
      ...world,
      ...(within && { within }),
      isEnough: (cuts, faults) => faults.length >= 3 || (cuts > 0 && performance.now() > end),
    });
    expectNone(recording, result);
  };

  const expectNone = ({ name }: Recording, { cuts, faults }: CutResult): void => {
    console.log(`${name}: ${cuts} cuts`);
    expect(faults).toEqual([]);
  };

  test("of first starts", () => cutFor(first, 0.2), TIMEOUT_MS);

  test("under load", () => cutFor(life, 0.25), TIMEOUT_MS);

  test(
    "of the first start on a restored backup",
    async () => cutFor(keep(await recordRestore(world, first)), 0.1),
    TIMEOUT_MS,
  );

  test(
    "of a rotation of the secret key",
    async () => cutFor(keep(await recordRotation(world, first)), 0.1),
    TIMEOUT_MS,
  );

  test("of a backup", async () => cutFor(keep(await recordBackup(world, first)), 0.05), TIMEOUT_MS);

  test.skipIf(!hasPostgres())(
    "of a move to PostgreSQL",
    async () => {
      const cluster = await startCluster();
      try {
        const recording = keep(await recordMove(world, first, await cluster.database()));
        await cutFor(recording, 0.05);
        await cutFor(recording, 0.05, [recording.entries.length - 12, recording.entries.length]);
      } finally {
        await cluster.remove();
      }
    },
    TIMEOUT_MS,
  );

  for (const schema of OLD_SCHEMAS) {
    test(
      `of an upgrade from schema ${schema}`,
      async () => {
        await cutFor(keep(await recordUpgrade(world, schema)), 0.1 / OLD_SCHEMAS.length);
      },
      TIMEOUT_MS,
    );
  }

  test("on a slow disk", async () => cutFor(keep(await recordSlowDisk(world, first)), 0.1), TIMEOUT_MS);

  for (const nth of [1, 2]) {
    test(
      `after sync ${nth} of the database has failed, which is made good`,
      async () => {
        const name = `sync ${nth} of the database fails`;
        const env = { ARMORHOOKS_POWER_FAIL: `/armorhooks.db:${nth}` };
        const { recording, log } = await recordFailure(world, { first, name, env });
        expect(log).toContain("cannot sync the database while its log is copied");
        expect(log).toContain("store can write again");
        await cutFor(keep(recording), 0.1, sinceFailure(recording));
      },
      TIMEOUT_MS,
    );
  }

  test(
    "after a sync of the log has failed, which is made good",
    async () => {
      const env = { ARMORHOOKS_POWER_FAIL: "/armorhooks.db-wal:20" };
      const { recording, log } = await recordFailure(world, { first, name: "a sync of the log fails", env });
      expect(log).toContain("store can write again");
      await cutFor(keep(recording), 0.1, sinceFailure(recording));
    },
    TIMEOUT_MS,
  );

  test(
    "while there is no room for the database to grow, which is told once",
    async () => {
      const env = { ARMORHOOKS_POWER_FULL: "/armorhooks.db:3" };
      const { recording, log } = await recordFailure(world, { first, name: "a full disk", env });
      expect(log.split("cannot copy the write-ahead log into the database")).toHaveLength(2);
      expect(log).toContain("the write-ahead log can be copied into the database again");
      await cutFor(keep(recording), 0.05);
    },
    TIMEOUT_MS,
  );

  /** Where syncs of each kind are needed. A journal is so for the moment in which a new database gets its first page. */
  const leftOut: Record<Exclude<SyncKind, "other">, () => [Recording, within?: [number, number]]> = {
    log: () => [life],
    database: () => [life],
    journal: () => [first, firstPage(first)],
    key: () => [first],
    directory: () => [first],
  };
  for (const [kind, place] of Object.entries(leftOut)) {
    test(
      `is noticed when syncs of the ${kind} are left out, so that this can fail`,
      async () => {
        const [recording, within] = place();
        const isEnough = (cuts: number, found: readonly string[]) => found.length > 0 || cuts >= MOST_CUTS;
        const { cuts, faults } = await tryCuts(recording, {
          random,
          ...world,
          without: kind as SyncKind,
          ...(within && { within }),
          isEnough,
        });
        console.log(`without syncs of the ${kind}, cut ${cuts}: ${faults[0] ?? "nothing"}`);
        expect(faults.length).toBeGreaterThan(0);
      },
      TIMEOUT_MS,
    );
  }
});

function sinceFailure({ entries }: Recording): [number, number] {
  const index = entries.findIndex(({ kind }) => kind === "sync failed");
  if (index < 0) throw new Error("no sync has failed");
  return [index + 1, entries.length];
}

function firstPage({ entries }: Recording): [number, number] {
  const index = entries.findIndex(({ kind, path }) => kind === "write" && path.endsWith("/armorhooks.db"));
  return [index + 1, index + 2];
}
