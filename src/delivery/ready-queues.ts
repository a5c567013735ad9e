import type { Slots } from "./slots.ts";
import { type Trust, trustOf, type WebhookQueue } from "./webhook-queue.ts";

/** Webhooks that have something to send, served in turn. */
export interface ReadyQueues {
  /** Puts a webhook at the end of its line, unless it stands there already. */
  add(queue: WebhookQueue): void;
  remove(queue: WebhookQueue): void;
  /**
   * The next one that may have a slot and that `test` takes; it goes to the end of the line of those that are busy, as it
   * has a request in flight from now on. Webhooks that can have no slot are not looked at, however many they are.
   */
  next(test: (queue: WebhookQueue) => Verdict): WebhookQueue | null;
  /** Whether webhooks wait that could have one of the last slots: nothing of theirs is in flight, or they are called back. */
  readonly hasIdle: boolean;
}

/** `take` it now, `drop` it until it is added again, or `stop`: it and all others wait. */
export type Verdict = "take" | "drop" | "stop";

/** Every second turn is for webhooks that are doing well; new ones come before failing ones only by going in turn. */
const TURNS: readonly Trust[] = ["proven", "untried", "proven", "failing"];

/** One of those in a line. */
interface Place {
  readonly queue: WebhookQueue;
  trust: Trust;
  /** Of the line of all with its trust, or of its organization's. */
  readonly among: Link;
  /** Of the line of those without a request in flight; in none while it has one. */
  readonly amongIdle: Link;
  /** Grows with each that joins a line at its end. */
  joined: number;
}

/**
 * Links, as a `Set` is walked from its first entry on, those that were deleted included, and only forwards: with ten
 * thousands of webhooks that was most of what a turn took.
 */
interface Link {
  place: Place;
  line: Line | null;
  before: Link | null;
  after: Link | null;
}

interface Line {
  first: Link | null;
  last: Link | null;
}

interface Lines {
  /** In turn, which keeps what is written together near to each other in the store. */
  all: Line;
  /** The last slots are theirs alone: they are found without passing over thousands of others. */
  idle: Line;
  /** Those of organizations that may have no more slots, one by one put aside when they were looked at, and called back. */
  aside: Map<number, Line>;
}

/** Nobody waits behind thousands that must be passed over: of each line, all may have a slot, or none may. */
export function createReadyQueues(slots: Pick<Slots, "open" | "hasRoomFor" | "newestFirst">): ReadyQueues {
  const places = new Map<WebhookQueue, Place>();
  const lines: Record<Trust, Lines> = { proven: newLines(), untried: newLines(), failing: newLines() };
  let turn = 0;
  let joins = 0;

  /** At the end, or at the front, of the lines of its trust. */
  const line = (place: Place, link: typeof linkLast): void => {
    const { queue, among, amongIdle } = place;
    place.trust = trustOf(queue);
    link(among, lines[place.trust].all);
    if (queue.inFlight === 0) link(amongIdle, lines[place.trust].idle);
  };

  const join = (place: Place): void => {
    joins += 1;
    place.joined = joins;
    line(place, linkLast);
  };

  const leave = ({ among, amongIdle }: Place): void => {
    unlink(among);
    unlink(amongIdle);
  };

  const remove = (queue: WebhookQueue): void => {
    const place = places.get(queue);
    if (!place) return;
    leave(place);
    places.delete(queue);
  };

  const putAside = (place: Place, organizationId: number): void => {
    const { aside } = lines[place.trust];
    const own = aside.get(organizationId) ?? newLine();
    aside.set(organizationId, own);
    leave(place);
    if (own.first && own.first.place.joined > place.joined) linkFirst(place.among, own);
    else linkLast(place.among, own);
  };

  /**
   * One of each organization that may have more again goes back, in front, as it has waited for longest. There are few
   * that may not, as each holds an eighth of the slots. Answers whether any went.
   */
  const callBack = (trust: Trust): boolean => {
    const { aside } = lines[trust];
    if (aside.size === 0 || !slots.open(trust, false)) return false;
    let any = false;
    for (const [organizationId, { first }] of aside) {
      if (!first) aside.delete(organizationId);
      else if (slots.hasRoomFor(organizationId)) {
        unlink(first);
        line(first.place, linkFirst);
        any = true;
      }
    }
    return any;
  };

  const mayCallBack = (aside: Lines["aside"]): boolean => {
    for (const [organizationId, { first }] of aside)
      if (first && slots.hasRoomFor(organizationId)) return true;
    return false;
  };

  /** Who has waited for longest, or came last, of those that may have a slot. */
  const nextOf = (trust: Trust): Place | null => {
    const { all, idle } = lines[trust];
    const open = slots.open(trust, true) ? all : slots.open(trust, false) ? idle : null;
    const link = slots.newestFirst(trust) ? open?.last : open?.first;
    return link?.place ?? null;
  };

  const pick = (trust: Trust, test: (queue: WebhookQueue) => Verdict): WebhookQueue | "stop" | null => {
    callBack(trust);
    for (;;) {
      const place = nextOf(trust);
      if (!place) {
        if (callBack(trust)) continue;
        return null;
      }
      const { queue } = place;
      const organizationId = queue.settings?.organizationId;
      if (trustOf(queue) !== trust) {
        leave(place);
        join(place);
      } else if (organizationId !== undefined && !slots.hasRoomFor(organizationId)) {
        putAside(place, organizationId);
      } else {
        const verdict = test(queue);
        if (verdict === "stop") return verdict;
        if (verdict === "drop") remove(queue);
        else {
          // It has a request in flight from now on.
          leave(place);
          joins += 1;
          place.joined = joins;
          linkLast(place.among, lines[trust].all);
          return queue;
        }
      }
    }
  };

  return {
    add(queue) {
      const place = places.get(queue);
      if (!place) {
        const added = newPlace(queue);
        places.set(queue, added);
        join(added);
      } else if (trustOf(queue) !== place.trust) {
        leave(place);
        join(place);
      } else if (queue.inFlight === 0 && !place.amongIdle.line) {
        const { all, idle } = lines[place.trust];
        if (place.among.line === all) linkLast(place.amongIdle, idle);
      }
    },
    remove,
    get hasIdle() {
      return Object.values(lines).some(({ idle, aside }) => idle.first !== null || mayCallBack(aside));
    },
    next(test) {
      for (let tries = 0; tries < TURNS.length; tries += 1) {
        const trust = TURNS[turn] as Trust;
        turn = (turn + 1) % TURNS.length;
        const picked = pick(trust, test);
        if (picked === "stop") return null;
        if (picked) return picked;
      }
      return null;
    },
  };
}

function newPlace(queue: WebhookQueue): Place {
  const place = { queue, trust: trustOf(queue), joined: 0 } as Place;
  const link = (): Link => ({ place, line: null, before: null, after: null });
  return Object.assign(place, { among: link(), amongIdle: link() });
}

function newLines(): Lines {
  return { all: newLine(), idle: newLine(), aside: new Map() };
}

function newLine(): Line {
  return { first: null, last: null };
}

function linkFirst(link: Link, line: Line): void {
  link.line = line;
  link.before = null;
  link.after = line.first;
  if (line.first) line.first.before = link;
  else line.last = link;
  line.first = link;
}

function linkLast(link: Link, line: Line): void {
  link.line = line;
  link.before = line.last;
  link.after = null;
  if (line.last) line.last.after = link;
  else line.first = link;
  line.last = link;
}

/** Of no line, it stays as it is. */
function unlink(link: Link): void {
  const { line, before, after } = link;
  if (!line) return;
  if (before) before.after = after;
  else line.first = after;
  if (after) after.before = before;
  else line.last = before;
  link.line = null;
}
