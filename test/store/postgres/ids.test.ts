import { describe, expect, test } from "bun:test";
import { idAt, timeOfId } from "../../../src/ids.ts";
import { createDaemonIds, MOST_DAEMONS, NO_NUMBER } from "../../../src/store/postgres/ids.ts";

const NOW = Date.UTC(2026, 5, 1);

describe("the ids of one daemon among several", () => {
  test("say their time and its number, and only grow, also when the clock goes back", () => {
    let now = NOW;
    const ids = createDaemonIds(() => now);
    ids.setNumber(5);
    const made = [ids.next(), ids.next()];
    now -= 60_000;
    made.push(ids.next());
    now = NOW + 1;
    made.push(ids.next());
    expect(made.map((id) => id % 64)).toEqual([5, 5, 5, 5]);
    expect(made.toSorted((a, b) => a - b)).toEqual(made);
    expect(made.map(timeOfId)).toEqual([NOW, NOW, NOW, NOW + 1]);
  });

  test("are nobody else's, at the same moment too", () => {
    const made = Array.from({ length: MOST_DAEMONS }, (_, number) => {
      const ids = createDaemonIds(() => NOW);
      ids.setNumber(number);
      return [ids.next(), ids.next(), ids.next()];
    }).flat();
    made.push(createDaemonIds(() => NOW).next());
    expect(new Set(made).size).toBe(made.length);
    expect((made.at(-1) as number) % 64).toBe(NO_NUMBER);
  });

  test("none that was made by now is above the ceiling, whoever made it", () => {
    const [one, other] = [createDaemonIds(() => NOW), createDaemonIds(() => NOW)];
    other.setNumber(MOST_DAEMONS - 1);
    for (let i = 0; i < 200; i += 1) one.next();
    const made = [one.next(), other.next()];
    expect(one.ceiling()).toBeGreaterThanOrEqual(Math.max(...made));
    expect(createDaemonIds(() => NOW).ceiling()).toBeLessThan(idAt(NOW + 1));
  });
});
