import { beforeEach, describe, expect, test } from "bun:test";
import type { AttemptRecord, WebhookDelta } from "../../../src/store/delivery-queue.ts";
import { createClaims } from "../../../src/store/postgres/claims.ts";
import type { Pool, Query } from "../../../src/store/postgres/pool.ts";
import { DISABLE, STILL_THERE, WRITE, WRITE_LATE } from "../../../src/store/postgres/result-statements.ts";
import { createResultWriter, type ResultWriter } from "../../../src/store/postgres/results.ts";
import { recordOf } from "../../support/engine.ts";

const NOW = 9_000;
const CEILING = 77;
const URL = "https://one.example";
const NAMES = new Map([
  [WRITE, "write"],
  [WRITE_LATE, "late"],
  [STILL_THERE, "still there"],
  [DISABLE, "disable"],
]);

/** Statements in order, with how they were run. */
let ran: string[];
let inputs: unknown[][];
/** What a write answers; all of its attempts found and none refused when left out. */
let answer: { written?: number; asked?: string; fencedWebhooks?: string; fenced?: number };
let stillThere: number[];
let writer: ResultWriter;

const run =
  (prefix: string) =>
  async (text: string, values: unknown[] = []) => {
    const name = NAMES.get(text) ?? (text.startsWith("UPDATE meta") ? "version" : text);
    ran.push(prefix + name);
    if (name === "write") inputs.push(values);
    const attempts = (values[0] as unknown[] | undefined)?.length ?? 0;
    const rows =
      {
        write: [{ written: attempts, fenced: attempts, asked: null, fencedWebhooks: null, ...answer }],
        "still there": stillThere.map((id) => ({ id })),
        version: [{ version: 5 }],
      }[name] ?? [];
    return Object.assign(rows, { count: rows.length });
  };

beforeEach(() => {
  [ran, inputs, answer, stillThere] = [[], [], {}, [1]];
  const claims = createClaims();
  const worker = {
    query: run(""),
    transaction: (within: (query: Query) => unknown) => within(run("in transaction: ") as unknown as Query),
  } as unknown as Pool;
  const clock = { schedule: () => NOW, wall: () => NOW };
  writer = createResultWriter(worker, { claims, clock, ceiling: () => CEILING });
});

const attempt = (deliveryId: number, more: Partial<AttemptRecord> = {}) => recordOf({ deliveryId, ...more });
const delta = (more: Partial<WebhookDelta> = {}): WebhookDelta => ({
  webhookId: 1,
  url: URL,
  succeeded: true,
  failures: 0,
  lastTriggeredAt: 1,
  lastSuccessAt: 2,
  pausedUntil: null,
  disabledReason: null,
  ...more,
});
const GONE = { status: "failed", httpStatus: 410, failsWithWebhook: true } as const;

/** Parameters of the write, by their place in the statement. */
const STATE = 10;
const NEXT_AT = 11;
const IS_GIVEN_UP = 16;
const PAUSED_UNTIL = 23;
const PAUSED_BY = 24;
const parameter = (place: number, write = 0) => inputs[write]?.[place - 1];

describe("writing results", () => {
  test("of different deliveries is one statement, outside of a transaction", async () => {
    const written = await writer.write([attempt(4), attempt(5, { webhookId: 2 })], [delta()]);
    expect(ran).toEqual(["write"]);
    expect(written).toEqual({ endings: [], renewed: new Set(), due: new Set() });
  });

  test("of one delivery twice is two, the second after the first", async () => {
    await writer.write([attempt(4), attempt(4, { number: 2 }), attempt(5)], [delta()]);
    expect(ran).toEqual(["in transaction: write", "in transaction: write"]);
    expect(inputs.map(([, ids, numbers]) => [ids, numbers])).toEqual([
      [
        [4, 5],
        [1, 1],
      ],
      [[4], [2]],
    ]);
    // What they say of the webhook counts once.
    expect([parameter(18, 0), parameter(18, 1)]).toEqual([[1], []]);
  });

  test("tells of webhooks that were retried by hand, and of those whose lease was lost", async () => {
    answer = { asked: "1 4,3 40", fencedWebhooks: "1" };
    const { due, renewed } = await writer.write([attempt(4), attempt(5, { webhookId: 2 })], [delta()]);
    expect([[...due], [...renewed]]).toEqual([
      [1, 3, 2],
      [4, 40],
    ]);
  });

  test("looks for late ones only where some were not found", async () => {
    answer = { written: 0 };
    await writer.write([attempt(4)], [delta()]);
    expect(ran).toEqual(["write", "late"]);
  });

  test("says whose request to wait it was, where there was one", async () => {
    const deltas = [delta({ pausedUntil: 800 }), delta({ webhookId: 2 })];
    await writer.write([attempt(4)], deltas);
    expect([parameter(PAUSED_UNTIL), parameter(PAUSED_BY)]).toEqual([
      [800, null],
      [URL, null],
    ]);
  });

  test("gives a webhook up in the transaction of the attempt, and ends what it has", async () => {
    const { endings } = await writer.write([attempt(4, GONE)], [delta({ disabledReason: "gone" })]);
    expect(ran).toEqual(
      ["still there", "write", "version", "disable"].map((name) => `in transaction: ${name}`),
    );
    expect([parameter(STATE), parameter(IS_GIVEN_UP)]).toEqual([[2], [true]]);
    expect(endings).toEqual([{ webhookId: 1, reason: "webhook_disabled", throughId: CEILING }]);
  });

  test("gives none up that has another receiver by now: what it refused is due", async () => {
    stillThere = [];
    const exhausted = attempt(5, { status: "failed" });
    const written = await writer.write([attempt(4, GONE), exhausted], [delta({ disabledReason: "gone" })]);
    expect(ran).toEqual(["in transaction: still there", "in transaction: write"]);
    expect([parameter(STATE), parameter(NEXT_AT), parameter(IS_GIVEN_UP)]).toEqual([
      [0, 2],
      [NOW, null],
      [false, false],
    ]);
    expect(written).toEqual({ endings: [], renewed: new Set(), due: new Set([1]) });
  });

  test("spares also what was refused by a receiver before, where the present one says something else", async () => {
    stillThere = [];
    await writer.write([attempt(4, GONE), attempt(5)], [delta({ pausedUntil: 800 })]);
    expect(parameter(STATE)).toEqual([0, 1]);
  });

  test("gives none up whose lease was lost: others may have got something through", async () => {
    answer = { written: 0, fenced: 0, fencedWebhooks: "" };
    const written = await writer.write([attempt(4, GONE)], [delta({ disabledReason: "gone" })]);
    expect(ran).toEqual(["in transaction: still there", "in transaction: write"]);
    expect(written).toEqual({ endings: [], renewed: new Set(), due: new Set([1]) });
  });

  test("gives one up although another of its deliveries was retried by hand", async () => {
    answer = { asked: "1 5" };
    const { endings } = await writer.write([attempt(4, GONE)], [delta({ disabledReason: "gone" })]);
    expect(endings).toHaveLength(1);
  });
});
