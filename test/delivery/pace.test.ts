import { describe, expect, test } from "bun:test";
import {
  allowsMore,
  createPace,
  intervalOf,
  noteAccepted,
  noteRefused,
  noteStart,
  type PaceLimit,
  readyAt,
  withLimit,
} from "../../src/delivery/pace.ts";

/** A receiver that answers at once: null when it takes a request, otherwise the milliseconds it asks to wait. */
type Limited = (now: number) => number | null;

/** Sends one at a time as fast as the pace allows until so many went through; milliseconds of a made-up clock. */
function run(receiver: Limited, { events, limit = null }: { events: number; limit?: PaceLimit | null }) {
  const pace = createPace(limit);
  const accepted: number[] = [];
  let refused = 0;
  let refusedWhilePaused = 0;
  let until = 0;
  for (let now = 0; accepted.length < events && refused < 10 * events; ) {
    now = Math.max(now + 0.05, readyAt(pace));
    noteStart(pace, now);
    const wait = receiver(now);
    if (wait === null) {
      accepted.push(now);
      noteAccepted(pace, now);
    } else {
      if (now < until) refusedWhilePaused += 1;
      until = now + wait;
      refused += 1;
      noteRefused(pace, now, now, wait);
    }
  }
  return { seconds: (accepted.at(-1) as number) / 1000, accepted, refused, refusedWhilePaused };
}

/** Takes one each so many milliseconds. */
function onePer(milliseconds: number, wait: number): Limited {
  let last = Number.NEGATIVE_INFINITY;
  return (now) => {
    if (now - last < milliseconds) return wait;
    last = now;
    return null;
  };
}

/** What it sees is up to so many milliseconds off. */
function wavering(receiver: Limited, milliseconds: number): Limited {
  let step = 0;
  return (now) => {
    step += 1;
    return receiver(now + milliseconds * Math.sin(step * 2.4));
  };
}

/** Takes so many in each window of the clock. */
function perWindow(count: number, milliseconds: number): Limited {
  let window = -1;
  let used = 0;
  return (now) => {
    const present = Math.floor(now / milliseconds);
    if (present !== window) [window, used] = [present, 0];
    used += 1;
    return used <= count ? null : (window + 1) * milliseconds - now;
  };
}

/** Takes one each so many milliseconds, and nothing at all while the time runs that it has asked for. */
function punishing(milliseconds: number, penalty: number): Limited {
  let last = Number.NEGATIVE_INFINITY;
  let closedUntil = 0;
  return (now) => {
    if (now < closedUntil || now - last < milliseconds) {
      closedUntil = now + penalty;
      return penalty;
    }
    last = now;
    return null;
  };
}

describe("a receiver with a limit is sent to as fast as it takes", () => {
  test.each([
    // name, receiver, events, ideal seconds, times that may take, refusals
    ["one a second", onePer(1_000, 1_000), 300, 299, 1.05, 5],
    ["one a second, whose clock wavers", wavering(onePer(1_000, 1_000), 15), 300, 299, 1.1, 16],
    ["one in five seconds", onePer(5_000, 5_000), 100, 495, 1.15, 8],
    ["ten a second", onePer(100, 1_000), 1_000, 99.9, 2, 14],
    ["thirty a minute, in bursts", perWindow(30, 60_000), 300, 540, 1.25, 14],
    ["a hundred a second, in bursts", perWindow(100, 1_000), 2_000, 19, 1.5, 20],
  ] as const)("%s", (_, receiver, events, ideal, times, refusals) => {
    const { seconds, refused, refusedWhilePaused } = run(receiver, { events });
    expect(seconds).toBeLessThan(ideal * times);
    expect(refused).toBeLessThanOrEqual(refusals);
    expect(refusedWhilePaused).toBe(0);
  });

  test("one a second that refuses everything for 30 s when it is not obeyed", () => {
    const { seconds, refused } = run(punishing(1_000, 30_000), { events: 300 });
    expect(seconds).toBeLessThan(300 + 180);
    expect(refused).toBeLessThanOrEqual(6);
  });

  test("one without a limit is never slowed down", () => {
    expect(run(() => null, { events: 10_000 }).seconds).toBeLessThan(0.6);
  });

  test.each([
    ["every second", 2, 1_000, 300],
    ["every seventh", 7, 1_000, 180],
    ["every seventh", 7, 5_000, 900],
  ])(
    "one that refuses %s request at any pace (1 of %d) is not sent to ever more slowly: %d ms",
    (_, nth, wait, most) => {
      let count = 0;
      const { seconds } = run(() => (++count % nth === 0 ? wait : null), { events: 120 });
      expect(seconds).toBeLessThan(most);
    },
  );

  test("one whose limit is lifted is fast again after a while", () => {
    const limited = onePer(1_000, 1_000);
    let count = 0;
    const { accepted } = run((now) => (count++ < 40 ? limited(now) : null), { events: 3_000 });
    const second = accepted.findIndex((at) => at > (accepted[39] as number) + 240_000);
    expect(second === -1 ? accepted.length : second).toBeGreaterThan(1_000);
  });
});

describe("a configured pace", () => {
  test.each([
    [{ perMinute: 60, burst: 1 }, 10, 9],
    [{ perMinute: 120, burst: 1 }, 21, 10],
    [{ perMinute: 30, burst: 5 }, 15, 20],
    [{ perMinute: 600_000, burst: 1 }, 10_000, 1],
  ] as const)("%j: %d requests in %d s", (limit, events, seconds) => {
    const ran = run(() => null, { events, limit });
    expect(ran.seconds).toBeWithin(seconds * 0.98 - 0.05, seconds * 1.02 + 0.05);
    if (limit.burst > 1) expect(ran.accepted[limit.burst - 1]).toBeLessThan(10);
  });

  test("is never undercut by what is learned, and holds at once when it is changed", () => {
    const pace = createPace({ perMinute: 60, burst: 1 });
    noteStart(pace, 0);
    noteRefused(pace, 0, 1, 5_000);
    expect(intervalOf(pace)).toBeGreaterThanOrEqual(1_000);
    const slower = withLimit(pace, { perMinute: 6, burst: 1 });
    expect(intervalOf(slower)).toBe(10_000);
    expect(readyAt(slower)).toBeGreaterThanOrEqual(5_001);
  });

  test("says whether a further request could go at once", () => {
    expect(allowsMore(createPace(null), 0)).toBe(true);
    const one = createPace({ perMinute: 60, burst: 1 });
    expect(allowsMore(one, 0)).toBe(false);
    const five = createPace({ perMinute: 30, burst: 5 });
    const more: boolean[] = [];
    for (let i = 0; i < 5; i += 1) {
      more.push(allowsMore(five, 0));
      noteStart(five, 0);
    }
    expect(more).toEqual([true, true, true, true, false]);
  });
});

describe("asked to wait", () => {
  test("nothing begins before the time, and a later one is obeyed too", () => {
    const pace = createPace(null);
    noteStart(pace, 0);
    noteStart(pace, 0);
    noteRefused(pace, 0, 10, 500);
    noteRefused(pace, 0, 20, 5_000);
    expect(readyAt(pace)).toBe(5_020);
  });

  test("without a time: a second, doubling up to a minute while it goes on", () => {
    const pace = createPace(null);
    const waits: number[] = [];
    for (let i = 0, now = 0; i < 9; i += 1) {
      noteStart(pace, now);
      noteRefused(pace, now, now, null);
      waits.push(pace.pausedUntil - now);
      now = Math.max(readyAt(pace), pace.pausedUntil);
    }
    expect(waits).toEqual([1, 2, 4, 8, 16, 32, 60, 60, 60].map((seconds) => seconds * 1_000));
  });

  test("many refused at once teach what one refusal does", () => {
    const paces = [1, 20].map((together) => {
      const pace = createPace(null);
      noteStart(pace, 0);
      noteAccepted(pace, 0);
      for (let i = 0; i < together; i += 1) noteStart(pace, 1);
      for (let i = 0; i < together; i += 1) noteRefused(pace, 1, 2, 1_000);
      return intervalOf(pace);
    });
    expect(paces[1]).toBe(paces[0] as number);
  });
});

describe("another configured pace", () => {
  const after = (limit: PaceLimit | null, requests: number, next: PaceLimit | null) => {
    const pace = createPace(limit);
    for (let i = 0; i < requests; i += 1) noteStart(pace, 1_000);
    return Math.max(0, readyAt(withLimit(pace, next)) - 1_000);
  };

  test.each<[string, PaceLimit | null, number, PaceLimit | null, number]>([
    ["that is faster holds at once", { perMinute: 1, burst: 1 }, 1, { perMinute: 600, burst: 1 }, 100],
    ["that is taken off too", { perMinute: 1, burst: 1 }, 1, null, 0],
    [
      "a burst that has gone counts at the new one",
      { perMinute: 30, burst: 5 },
      5,
      { perMinute: 600, burst: 1 },
      500,
    ],
    ["the same changes nothing", { perMinute: 30, burst: 5 }, 5, { perMinute: 30, burst: 5 }, 2_000],
    [
      "that is slower begins with the next request",
      { perMinute: 600, burst: 1 },
      1,
      { perMinute: 1, burst: 1 },
      100,
    ],
    ["that is the first begins with the next request", null, 1, { perMinute: 1, burst: 1 }, 0],
  ])("%s", (_, limit, requests, next, wait) => {
    expect(after(limit, requests, next)).toBeCloseTo(wait, 6);
  });

  test("before any request asks for nothing", () => {
    expect(readyAt(withLimit(createPace({ perMinute: 1, burst: 1 }), { perMinute: 60, burst: 1 }))).toBe(0);
  });

  test("leaves what a receiver has taught", () => {
    const pace = createPace({ perMinute: 1, burst: 1 });
    noteStart(pace, 1_000);
    noteRefused(pace, 1_000, 1_010, 5_000);
    const next = withLimit(pace, { perMinute: 600, burst: 1 });
    expect(readyAt(next)).toBe(6_010);
    expect(next.learned).toBe(pace.learned);
  });
});
