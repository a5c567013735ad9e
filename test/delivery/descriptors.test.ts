import { afterEach, describe, expect, test } from "bun:test";
import { join } from "node:path";
import { createDescriptorWatch } from "../../src/descriptor-watch.ts";
import { shareDescriptors } from "../../src/descriptors.ts";
import { createLogger } from "../../src/log.ts";
import { atEnd, cleanUp } from "../support/e2e.ts";
import { startRawReceiver } from "../support/raw-receiver.ts";

afterEach(cleanUp);

test("an attempt for which no descriptor is left was not made, and is nobody's failure", async () => {
  const receivers = [await startRawReceiver(), await startRawReceiver()];
  for (const { stop } of receivers) atEnd(stop);
  const script = join(import.meta.dir, "without-descriptors.ts");
  const command = ["sh", "-c", 'ulimit -n 48 && exec "$@"', "sh", process.execPath, script];
  const child = Bun.spawn([...command, ...receivers.map(({ port }) => String(port))], { stdout: "pipe" });
  const delivered = { status: 200, error: null, meaning: "delivered" };
  expect(JSON.parse(await new Response(child.stdout).text())).toEqual({
    without: { status: null, error: "out_of_resources", meaning: "unsent" },
    withOne: delivered,
    insteadOfIdle: delivered,
    after: delivered,
    shortages: 1,
    idle: 2,
  });
});

describe("the descriptors are shared", () => {
  test.each([
    [64, 13, 19, 11],
    [1024, 13, 499, 299],
    [65_536, 20, 32_752, 19_651],
    [20, 15, 4, 4],
  ])("of %d with %d in use, %d are for receivers and %d for scanners", (limit, inUse, sending, scanners) => {
    expect(shareDescriptors(limit, inUse)).toEqual({ sending, scanners });
  });

  test("without end where nobody says how many there are", () => {
    const { sending, scanners } = shareDescriptors(Number.POSITIVE_INFINITY, 0);
    expect([sending, scanners]).toEqual([Number.POSITIVE_INFINITY, Number.POSITIVE_INFINITY]);
  });
});

test("a shortage is told of once, and the next one again", () => {
  const lines: string[] = [];
  let now = 0;
  const log = createLogger({
    level: "info",
    write: (bytes, taken) => {
      lines.push(...Buffer.from(bytes).toString().trim().split("\n"));
      taken();
    },
  });
  const watch = createDescriptorWatch({ log, relieve: () => {}, now: () => now });
  for (const moment of [0, 1, 9_000, 18_999, 28_999, 39_001]) {
    now = moment;
    watch.noteShortage("a request");
  }
  log.flush();
  expect(lines.map((line) => JSON.parse(line))).toMatchObject([
    { level: "warn", first: "a request" },
    { level: "warn", first: "a request" },
  ]);
});
