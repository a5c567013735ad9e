import { beforeEach, describe, expect, test } from "bun:test";
import {
  type AttemptRecorder,
  createAttemptRecorder,
  type Result,
  type WrittenWith,
} from "../../src/delivery/attempt-recorder.ts";
import type { Ending, WebhookDelta } from "../../src/store/delivery-queue.ts";
import { StoreFault } from "../../src/store/faults.ts";
import { recordOf } from "../support/engine.ts";

const record = (deliveryId: number, webhookId: number) =>
  recordOf({ deliveryId, webhookId, startedAt: 1_000 + deliveryId });

const resultOf = (deliveryId: number, { webhookId = 1, ...rest }: Partial<Result> = {}): Result => ({
  webhookId,
  url: "https://one.example",
  records: [record(deliveryId, webhookId)],
  counts: "success",
  endedAt: 2_000 + deliveryId,
  pausedUntil: null,
  disabledReason: null,
  ...rest,
});

let batches: { ids: number[]; deltas: readonly WebhookDelta[] }[];
let events: string[];
/** What the next writes do: by default they succeed at once. */
let write: () => Promise<Ending[]>;
let recorder: AttemptRecorder;

beforeEach(() => {
  batches = [];
  events = [];
  write = async () => [];
  recorder = createAttemptRecorder({
    queue: {
      record: async (attempts, deltas) => {
        const endings = await write();
        batches.push({ ids: attempts.map(({ deliveryId }) => deliveryId), deltas });
        return { endings, renewed: new Set(endings.length > 0 ? [2] : []) };
      },
    },
    onWritten: () => events.push("written"),
    onEnding: ({ webhookId }) => events.push(`ending ${webhookId}`),
    onFault: (error) => events.push(String(error)),
  });
});

const add = (result: Result): void =>
  recorder.add(result, () => events.push(`result ${result.records[0]?.deliveryId}`));
const soon = () => Bun.sleep(15);

describe("the attempt recorder", () => {
  test("writes what came in one turn together, then tells of each, then of all", async () => {
    for (const id of [1, 2, 3]) add(resultOf(id));
    expect(batches).toEqual([]);
    await soon();
    expect(batches.map(({ ids }) => ids)).toEqual([[1, 2, 3]]);
    expect(events).toEqual(["result 1", "result 2", "result 3", "written"]);
  });

  test.each<[string, Partial<Result>[], Partial<WebhookDelta>]>([
    ["one success", [{}], { succeeded: true, failures: 0, lastSuccessAt: 2_001, lastTriggeredAt: 1_001 }],
    [
      "two failures",
      [{ counts: "failure" }, { counts: "failure" }],
      { succeeded: false, failures: 2, lastSuccessAt: null },
    ],
    ["failure, success", [{ counts: "failure" }, {}], { succeeded: true, failures: 0, lastSuccessAt: 2_002 }],
    [
      "success, failure",
      [{}, { counts: "failure" }],
      { succeeded: true, failures: 1, lastSuccessAt: 2_001, lastTriggeredAt: 1_002 },
    ],
    ["put off", [{ counts: "neither" }], { succeeded: false, failures: 0, lastTriggeredAt: 1_001 }],
    [
      "given up",
      [{ counts: "failure", disabledReason: "gone" }, { counts: "failure" }],
      { disabledReason: "gone", failures: 2 },
    ],
    [
      "what another receiver says takes the place of what the one before said",
      [
        { disabledReason: "gone", pausedUntil: 9 },
        { url: "https://two.example", pausedUntil: 5 },
      ],
      { url: "https://two.example", pausedUntil: 5, disabledReason: null },
    ],
    [
      "one that only delivers takes nothing back",
      [{ pausedUntil: 9 }, { url: "https://two.example" }],
      { url: "https://one.example", pausedUntil: 9 },
    ],
  ])("sums up for a webhook: %s", async (_, results, delta) => {
    for (const [i, result] of results.entries()) add(resultOf(i + 1, result));
    await soon();
    expect(batches[0]?.deltas).toMatchObject([{ webhookId: 1, ...delta }]);
  });

  test("joins what a failed write held with what came since, the later receiver's word counting", async () => {
    const two = "https://two.example";
    const cases: [Partial<Result>, Partial<Result>, Partial<WebhookDelta>][] = [
      [
        { pausedUntil: 9 },
        { disabledReason: "gone" },
        { pausedUntil: 9, disabledReason: "gone", url: "https://one.example" },
      ],
      [{ pausedUntil: 9 }, { url: two }, { pausedUntil: 9, url: "https://one.example" }],
      [
        { pausedUntil: 9 },
        { url: two, disabledReason: "gone" },
        { pausedUntil: null, disabledReason: "gone", url: two },
      ],
    ];
    for (const [before, after, delta] of cases) {
      batches = [];
      write = () => Promise.reject(new StoreFault("disk full"));
      add(resultOf(1, before));
      await soon();
      write = async () => [];
      add(resultOf(2, after));
      await Bun.sleep(300);
      expect(batches.map(({ deltas }) => deltas)).toMatchObject([[delta]]);
    }
  });

  test("tells each result which webhooks were given up with it, and which deliveries retried by hand meanwhile", async () => {
    const told: (readonly number[])[] = [];
    const heard = ({ givenUp, renewed }: WrittenWith) => told.push([...givenUp], [...renewed]);
    recorder.add(resultOf(1), heard);
    await soon();
    write = async () => [{ webhookId: 1, reason: "webhook_disabled", throughId: 9 }];
    recorder.add(resultOf(2, { disabledReason: "gone" }), heard);
    await soon();
    expect(told).toEqual([[], [], [1], [2]]);
  });

  test("keeps webhooks apart, and all records of one request together", async () => {
    add(resultOf(1, { records: [record(1, 1), record(2, 1)] }));
    add(resultOf(3, { webhookId: 2, records: [record(3, 2)] }));
    await soon();
    expect(batches[0]?.ids).toEqual([1, 2, 3]);
    expect(batches[0]?.deltas.map(({ webhookId }) => webhookId)).toEqual([1, 2]);
  });

  test("after a failed write keeps all, says that it is stuck, and writes it with what came since", async () => {
    write = () => Promise.reject(new StoreFault("disk full"));
    add(resultOf(1));
    await soon();
    expect(recorder.isStuck).toBe(true);
    expect(events).toEqual([]);
    add(resultOf(2, { counts: "failure" }));
    write = async () => [];
    await Bun.sleep(300);
    expect(recorder.isStuck).toBe(false);
    expect(batches.map(({ ids }) => ids)).toEqual([[1, 2]]);
    expect(batches[0]?.deltas).toMatchObject([{ succeeded: true, failures: 1 }]);
    expect(events).toEqual(["result 1", "result 2", "written"]);
  });

  test("after a write that fails late waits too, whatever was added meanwhile", async () => {
    let refuse = (): void => {};
    let writes = 0;
    write = () => {
      writes += 1;
      return new Promise((_, reject) => (refuse = () => reject(new StoreFault("gone"))));
    };
    add(resultOf(1));
    await soon();
    add(resultOf(2));
    await soon();
    void recorder.flush();
    refuse();
    await soon();
    expect([writes, recorder.isStuck]).toEqual([1, true]);
    write = async () => [];
    await Bun.sleep(300);
    expect(batches.map(({ ids }) => ids)).toEqual([[1, 2]]);
  });

  test("after a write that fails at once waits too, though another was about to begin", async () => {
    let writes = 0;
    write = () => {
      writes += 1;
      return Promise.reject(new StoreFault("disk full"));
    };
    add(resultOf(1));
    await recorder.flush();
    await soon();
    expect(writes).toBe(1);
    add(resultOf(2));
    await Bun.sleep(600);
    // One chain of tries, a pause apart.
    expect(writes).toBeWithin(2, 4);
    write = async () => [];
    await Bun.sleep(300);
    expect(batches.map(({ ids }) => ids)).toEqual([[1, 2]]);
  });

  test("tells of a refusal that is no fault of the store, and keeps all the same", async () => {
    write = () => Promise.reject(new TypeError("ours"));
    add(resultOf(1));
    await soon();
    expect(events).toEqual(["TypeError: ours"]);
    write = async () => [];
    await Bun.sleep(300);
    expect(batches.map(({ ids }) => ids)).toEqual([[1]]);
  });

  test("has one write under way at a time, and flush waits for what was added", async () => {
    let release = (): void => {};
    write = () => new Promise((resolve) => (release = () => resolve([])));
    add(resultOf(1));
    const flushed = recorder.flush();
    add(resultOf(2));
    let isDone = false;
    const second = recorder.flush().then(() => {
      isDone = true;
    });
    await soon();
    expect(batches).toEqual([]);
    release();
    await flushed;
    expect(batches.map(({ ids }) => ids)).toEqual([[1]]);
    expect(isDone).toBe(false);
    await soon();
    release();
    await second;
    expect(batches.map(({ ids }) => ids)).toEqual([[1], [2]]);
  });

  test("one whose consequences throw takes nothing from the others", async () => {
    recorder.add(resultOf(1), () => {
      throw new Error("ours");
    });
    add(resultOf(2));
    await soon();
    expect(events).toEqual(["Error: ours", "result 2", "written"]);
  });

  test("tells of webhooks that were given up with the transaction", async () => {
    write = async () => [{ webhookId: 7, reason: "webhook_disabled", throughId: 9 }];
    add(resultOf(1));
    await soon();
    expect(events).toEqual(["result 1", "ending 7", "written"]);
  });
});
