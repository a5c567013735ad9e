import { createWindow, noteAnswer, sizeOf } from "../../src/delivery/window.ts";

export const MOST = 256;

export interface Simulation {
  /** Milliseconds that an answer takes: of how many requests the receiver has, this one among them, and of the time it is. */
  latencyOf: (inFlight: number, now: number) => number;
  milliseconds: number;
  /** That all send to this receiver, each with a window that is kept full. */
  webhooks?: number;
}

/** In each millisecond how many answers came, and how many requests the receiver had at its end. */
export interface Course {
  answered: Uint16Array;
  inFlight: Uint16Array;
}

interface Request {
  startedAt: number;
  endsAt: number;
  webhook: number;
}

export function simulate({ latencyOf, milliseconds, webhooks = 1 }: Simulation): Course {
  const windows = Array.from({ length: webhooks }, () => ({ window: createWindow(), inFlight: 0 }));
  const course = { answered: new Uint16Array(milliseconds), inFlight: new Uint16Array(milliseconds) };
  /** Those that end in each millisecond: many requests, and no time to sort them. */
  const ending = new Map<number, Request[]>();
  let all = 0;
  const fill = (webhook: number, now: number): void => {
    const it = windows[webhook] as (typeof windows)[number];
    while (it.inFlight < sizeOf(it.window)) {
      it.inFlight += 1;
      all += 1;
      const endsAt = now + latencyOf(all, now);
      const slot = Math.max(Math.floor(endsAt), Math.floor(now) + 1);
      const there = ending.get(slot);
      const request = { startedAt: now, endsAt, webhook };
      if (there) there.push(request);
      else ending.set(slot, [request]);
    }
  };
  for (let webhook = 0; webhook < webhooks; webhook += 1) fill(webhook, 0.001);
  for (let slot = 1; slot < milliseconds; slot += 1) {
    let now = slot;
    for (const { startedAt, webhook } of ending.get(slot) ?? []) {
      // No two moments are the same.
      now += 0.0001;
      const it = windows[webhook] as (typeof windows)[number];
      it.inFlight -= 1;
      all -= 1;
      noteAnswer(it.window, startedAt, now, MOST);
      fill(webhook, now);
      course.answered[slot] = (course.answered[slot] as number) + 1;
    }
    ending.delete(slot);
    course.inFlight[slot] = all;
  }
  return course;
}

/** Answers a second between two moments. */
export function rateOf({ answered }: Course, from: number, to = answered.length): number {
  return answered.subarray(from, to).reduce((sum, count) => sum + count, 0) / ((to - from) / 1_000);
}

/** The most requests that the receiver had at once between two moments. */
export function mostOf({ inFlight }: Course, from: number, to = inFlight.length): number {
  return inFlight.subarray(from, to).reduce((most, count) => Math.max(most, count), 0);
}

/** The same numbers from 0 to 1 in each run. */
export function createChance(seed = 7): () => number {
  let state = seed;
  return () => {
    state = (state * 1_103_515_245 + 12_345) % 2_147_483_648;
    return state / 2_147_483_648;
  };
}
