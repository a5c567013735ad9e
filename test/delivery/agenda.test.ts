import { expect, test } from "bun:test";
import fc from "fast-check";
import { createAgenda } from "../../src/delivery/agenda.ts";

test("each is woken once, in order, at its earliest moment or just after", async () => {
  const woken: [string, number][] = [];
  const now = () => performance.now();
  const agenda = createAgenda<string>(now, { wake: (item) => woken.push([item, now()]), woken: () => {} });
  const from = now();
  agenda.add("c", from + 60);
  agenda.add("a", from + 80);
  agenda.add("a", from + 20);
  agenda.add("a", from + 50);
  agenda.add("b", from + 40);
  agenda.add("removed", from + 30);
  agenda.remove("removed");
  agenda.add("never", Number.POSITIVE_INFINITY);
  await Bun.sleep(130);
  expect(woken.map(([item]) => item)).toEqual(["a", "b", "c"]);
  const late = woken.map(([, at], i) => at - from - ([20, 40, 60][i] as number));
  for (const by of late) expect(by).toBeWithin(0, 40);
  agenda.stop();
});

test("once stopped it wakes nobody, whatever is added", async () => {
  let woken = 0;
  const agenda = createAgenda<string>(performance.now.bind(performance), {
    wake: () => (woken += 1),
    woken: () => (woken += 1),
  });
  agenda.add("before", performance.now() + 10);
  agenda.stop();
  agenda.add("after", performance.now() + 5);
  await Bun.sleep(40);
  expect(woken).toBe(0);
});

test("any number of moments come in order", () =>
  fc.assert(
    fc.asyncProperty(fc.array(fc.nat(30), { maxLength: 60 }), async (delays) => {
      let clock = 0;
      const woken: number[] = [];
      const agenda = createAgenda<number>(() => clock, { wake: (item) => woken.push(item), woken: () => {} });
      for (const [item, delay] of delays.entries()) agenda.add(item, delay);
      clock = 31;
      await Bun.sleep(35);
      agenda.stop();
      const at = woken.map((item) => delays[item] as number);
      expect(at).toEqual(delays.toSorted((a, b) => a - b));
    }),
    { numRuns: 8 },
  ));

test("what is woken again and again, and has something due much later, is not kept for each of those", async () => {
  let clock = 0;
  let woken = 0;
  const agenda = createAgenda<object>(() => clock, { wake: () => (woken += 1), woken: () => {} });
  const items: WeakRef<object>[] = [];
  for (let i = 0; i < 300; i += 1) {
    const item = {};
    items.push(new WeakRef(item));
    agenda.add(item, 43_200_000);
    agenda.add(item, clock + 1);
    clock += 1;
    await Bun.sleep(1);
  }
  while (woken < 250) await Bun.sleep(1);
  Bun.gc(true);
  expect(items.filter((item) => item.deref() !== undefined).length).toBeLessThan(100);
  agenda.stop();
});
