import { afterEach, expect, test } from "bun:test";
import { BEAT_MS, onBeat } from "../src/beat.ts";

const stops: (() => void)[] = [];
afterEach(() => stops.splice(0).forEach((stop) => void stop()));

test("all that is looked at again and again is looked at in one turn, until it ends, within a second each time", async () => {
  const seen: string[] = [];
  const noting = (name: string) => onBeat(() => seen.push(name));
  stops.push(noting("a"));
  await Bun.sleep(100);
  const endB = noting("b");
  stops.push(endB, noting("c"));
  const began = performance.now();
  while (seen.length === 0) await Bun.sleep(5);
  expect(seen).toEqual(["a", "b", "c"]);
  expect(performance.now() - began).toBeLessThan(BEAT_MS);
  endB();
  await Bun.sleep(BEAT_MS + 50);
  expect(seen).toEqual(["a", "b", "c", "a", "c"]);
});

test("beats again after nobody had anything to look at, and keeps no process going", async () => {
  let beats = 0;
  onBeat(() => {})();
  stops.push(
    onBeat(() => {
      beats += 1;
    }),
  );
  await Bun.sleep(BEAT_MS + 50);
  expect(beats).toBe(1);
  const script = `import { onBeat } from "${import.meta.dir}/../src/beat.ts"; onBeat(() => {});`;
  const child = Bun.spawn([process.execPath, "-e", script]);
  expect(await child.exited).toBe(0);
});
