import { beforeEach, expect, test } from "bun:test";
import { AppError } from "../../src/errors.ts";
import { createAcks } from "../../src/ingest/acks.ts";
import { answersTo, type BatchReader, createBatchReader, takeEvents } from "../../src/ingest/batch.ts";
import { createLineSplitter } from "../../src/ingest/line-splitter.ts";
import { scan } from "../support/daemon.ts";

const acks = createAcks();
const ORGANIZATION = { id: 1, uuid: "one", hasAlerts: true };
const LINE = JSON.stringify(scan());

let reader: BatchReader;
let refused: string[];
let known: boolean;
let refreshes: number;

beforeEach(() => {
  refused = [];
  known = true;
  refreshes = 0;
  reader = createBatchReader({
    now: () => 1_000,
    organizations: {
      find: () => (known ? ORGANIZATION : null),
      refresh: async () => {
        refreshes += 1;
      },
      refusal: () => new AppError("NOT_FOUND", "organization_id names no organization"),
    },
    acks,
    onRefused: (code) => refused.push(code),
    onCutOff: () => {},
    onFault: (error) => {
      throw error;
    },
  });
});

function source(name: string, lines: readonly string[]) {
  const splitter = createLineSplitter(256 * 1024);
  splitter.push(Buffer.from(lines.map((line) => `${line}\n`).join("")));
  return { name, data: { splitter } };
}

test("takes from each source in turn, and leaves those waiting that have more", () => {
  const [much, little] = [source("much", Array(3_000).fill(LINE)), source("little", [LINE])];
  const waiting = new Set([much, little]);
  const batch = reader.take(waiting);
  expect(batch.lines).toBe(1_025);
  expect([batch.entries.get(much)?.length, batch.entries.get(little)?.length]).toEqual([1_024, 1]);
  expect([...waiting].map(({ name }) => name)).toEqual(["much"]);
  expect(takeEvents(batch)).toHaveLength(1_025);
});

test("answers each line in its place: what became of the events, and why others were refused", () => {
  const one = source("one", [LINE, "nonsense", LINE]);
  const two = source("two", [LINE]);
  const batch = reader.take(new Set([one, two]));
  takeEvents(batch);
  const stored = [
    { id: "a", deliveries: 2, duplicate: false },
    { id: "b", deliveries: 0, duplicate: true },
    { id: "c", deliveries: 1, duplicate: false },
  ];
  const linesOf = (text = "") =>
    text
      .trimEnd()
      .split("\n")
      .map((line) => JSON.parse(line));
  const answers = answersTo(batch, stored, acks);
  expect(linesOf(answers.get(one))).toEqual([
    { ok: true, id: "a", deliveries: 2 },
    { ok: false, error: { code: "VALIDATION_ERROR", message: expect.any(String) } },
    { ok: true, id: "b", deliveries: 0, duplicate: true },
  ]);
  expect(linesOf(answers.get(two))).toEqual([{ ok: true, id: "c", deliveries: 1 }]);
  const lost = linesOf(answersTo(batch, null, acks).get(one));
  expect(lost.map(({ error }) => error.code)).toEqual(["UNAVAILABLE", "VALIDATION_ERROR", "UNAVAILABLE"]);
  expect(refused).toEqual(["VALIDATION_ERROR"]);
});

test("looks once for all organizations that were not known, and only where there are some", async () => {
  expect(reader.take(new Set([source("one", [LINE])])).isUnplaced).toBe(false);
  known = false;
  const one = source("one", [LINE, LINE]);
  const batch = reader.take(new Set([one]));
  expect(batch.isUnplaced).toBe(true);
  await reader.place(batch);
  expect([refreshes, takeEvents(batch).length, refused]).toEqual([1, 0, ["NOT_FOUND", "NOT_FOUND"]]);
  const again = reader.take(new Set([source("two", [LINE])]));
  known = true;
  await reader.place(again);
  expect(takeEvents(again)).toMatchObject([{ organization: ORGANIZATION, receivedAt: 1_000 }]);
});
