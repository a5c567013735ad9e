import { beforeEach, describe, expect, test } from "bun:test";
import type { AttemptOutcome } from "../src/delivery/observer.ts";
import type { Target } from "../src/delivery/target.ts";
import { createIdFormat } from "../src/ids.ts";
import { createLogger, type LogLevel } from "../src/log.ts";
import { createMetrics } from "../src/metrics.ts";
import { createObserver } from "../src/observer.ts";
import type { AttemptRecord } from "../src/store/delivery-queue.ts";
import { StoreFault } from "../src/store/faults.ts";
import type { Store } from "../src/store/store.ts";
import { settingsOf } from "./support/engine.ts";

const ids = createIdFormat("8000000000000000");
let text: string;
let storeFault: string | null;
let told: unknown[];
let readers: boolean;

beforeEach(() => {
  [text, storeFault, told, readers] = ["", null, [], false];
});

function observerAt(level: LogLevel = "info") {
  const log = createLogger({
    level,
    now: () => 5,
    write: (bytes, taken) => {
      text += Buffer.from(bytes).toString();
      taken();
    },
  });
  const metrics = createMetrics();
  const observer = createObserver({
    store: { ids, clock: { schedule: () => 0, wall: () => 0 }, fault: () => storeFault } as unknown as Store,
    log,
    metrics,
    stream: {
      isRead: () => readers,
      tell: (...args) => told.push([args[0], args[1], JSON.parse(args[2]())]),
    },
    onAttempt: ({ deliveryId }) => told.push(["attempt", deliveryId]),
    onDisabled: (webhook, reason) => told.push(["disabled", webhook, reason]),
  });
  const lines = () => {
    log.flush();
    return text
      .split("\n")
      .filter((line) => line !== "")
      .map((line) => JSON.parse(line));
  };
  return { observer, metrics, lines };
}

const target = (logHost: string): Target => ({ url: "https://one.example", logHost }) as Target;
const ONE = settingsOf({ uuid: "w1", organizationUuid: "o1", target: target('"one.example"') });

function outcomeOf(record: Partial<AttemptRecord>, fields: Partial<AttemptOutcome> = {}): AttemptOutcome {
  return {
    webhook: ONE,
    deliveryId: 2,
    eventId: 1,
    record: {
      number: 1,
      httpStatus: 200,
      error: null,
      detail: null,
      durationMs: 12,
      status: "delivered",
      ...record,
    } as AttemptRecord,
    isOn: true,
    failures: { before: 0, after: 0 },
    ...fields,
  };
}

const THEIRS = { level: "info", time: 5, event_id: ids.format(1), delivery_id: ids.format(2) };

describe("the lines of an attempt", () => {
  test("say all that is known of it, in the same order always", () => {
    const { observer, lines } = observerAt();
    observer.attempted(outcomeOf({}));
    const [made, finished] = lines();
    expect(made).toEqual({
      ...THEIRS,
      msg: "attempt made",
      webhook_id: "w1",
      organization_id: "o1",
      host: "one.example",
      attempt: 1,
      status: 200,
      error: null,
      duration_ms: 12,
    });
    expect(Object.keys(made)).toEqual([
      ...["level", "time", "msg", "event_id", "delivery_id", "webhook_id", "organization_id", "host"],
      ...["attempt", "status", "error", "duration_ms"],
    ]);
    expect(finished).toEqual({
      ...THEIRS,
      msg: "delivery finished",
      webhook_id: "w1",
      organization_id: "o1",
      status: "delivered",
      attempts: 1,
    });
  });

  test("name each webhook as it is now, whatever came to the same before", () => {
    const { observer, lines } = observerAt();
    const renamed = { ...ONE, name: 'the "pager" é\u202e', target: target('"two.example"') };
    for (const webhook of [ONE, renamed, ONE]) observer.attempted(outcomeOf({}, { webhook }));
    const made = lines().filter(({ msg }) => msg === "attempt made");
    expect(made.map(({ webhook_name, host }) => [webhook_name, host])).toEqual([
      [undefined, "one.example"],
      ['the "pager" é\u202e', "two.example"],
      [undefined, "one.example"],
    ]);
    // A terminal would act on it.
    expect(text).not.toContain("\u202e");
  });

  test("tell outcomes apart by each of their parts", () => {
    const { observer, lines } = observerAt();
    const records: Partial<AttemptRecord>[] = [
      {},
      { number: 2 },
      { httpStatus: 500, error: "http_status", status: "pending" },
      { httpStatus: null, error: "timeout", status: "pending" },
      { httpStatus: null, error: "timeout", status: "failed" },
      { httpStatus: null, error: "timeout", detail: 'no "answer"', status: "failed" },
    ];
    for (const record of [...records, ...records]) observer.attempted(outcomeOf(record));
    const made = lines().filter(({ msg }) => msg === "attempt made");
    expect(made.map(({ attempt, status, error, detail }) => [attempt, status, error, detail])).toEqual(
      [...records, ...records].map(({ number = 1, httpStatus = 200, error = null, detail }) => [
        number,
        httpStatus,
        error,
        detail,
      ]),
    );
    // What goes on is not finished.
    expect(lines().filter(({ msg }) => msg === "delivery finished")).toHaveLength(8);
  });

  test("are not written below the level; what is counted and told is the same", async () => {
    const { observer, metrics, lines } = observerAt("warn");
    observer.attempted(outcomeOf({}));
    readers = true;
    observer.attempted(outcomeOf({ httpStatus: 500, error: "http_status", status: "failed" }));
    expect(lines()).toEqual([]);
    const page = await metrics.registry.metrics();
    expect(page).toContain('armorhooks_attempts_total{outcome="success"} 1');
    expect(page).toContain('armorhooks_attempts_total{outcome="http_status"} 1');
    expect(page).toContain('armorhooks_deliveries_finished_total{status="failed"} 1');
    const shared = { event_id: ids.format(1), webhook_id: "w1" };
    const attempt = { delivery_id: ids.format(2), ...shared, number: 1, status: 500, error: "http_status" };
    expect(told).toEqual([
      ["attempt", 2],
      ["o1", "attempt", { ...attempt, detail: null, duration_ms: 12 }],
      ["o1", "delivery", { id: ids.format(2), ...shared, status: "failed", attempt_count: 1 }],
      ["attempt", 2],
    ]);
  });
});

describe("what else is seen", () => {
  test("a webhook that was disabled is told to the log, the readers and whoever is to be notified", () => {
    const { observer, lines } = observerAt();
    observer.disabled({ ...ONE, name: "pager" }, "gone", 3);
    expect(lines()).toMatchObject([
      { level: "warn", msg: "webhook disabled", webhook_name: "pager", reason: "gone", failure_count: 3 },
    ]);
    expect(told).toEqual([
      ["o1", "webhook", { id: "w1", name: "pager", change: "disabled", reason: "gone" }],
      ["disabled", { id: "w1", name: "pager", organizationId: "o1" }, "gone"],
    ]);
  });

  test("a fault is a line; one of a store that has said so itself is not", () => {
    const { observer, lines } = observerAt();
    observer.faultOf("reading")(new Error("broken"));
    storeFault = "disk full";
    observer.fault("writing", new StoreFault("disk full"));
    observer.fault("deciding", new TypeError("ours"));
    expect(lines().map(({ where, error }) => [where, error])).toEqual([
      ["reading", "broken"],
      ["deciding", "ours"],
    ]);
  });
});
