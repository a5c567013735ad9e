import type { AttemptError } from "../store/sqlite/deliveries.ts";
import { createDestination, type Destination } from "./http/transport.ts";
import type { Resolve } from "./resolver.ts";
import type { Target } from "./target.ts";
import type { TargetGuard } from "./target-guard.ts";

/** Where requests go, checked; to be found out anew when its time (monotonic) is over or the name has other addresses. */
export interface Route {
  destination: Destination;
  /** What the name was resolved to; null for a literal address. */
  answers: readonly string[] | null;
  until: number;
}

/** Why nothing could be sent. */
export interface RouteFailure {
  ok: false;
  failure: AttemptError;
}

export interface RouteOptions {
  guard: TargetGuard;
  resolve: Resolve;
  allowHttp: boolean;
}

/** This machine's own addresses are refused and may change, so a verdict holds for a second only. */
const ALLOWED_MS = 1_000;

const BLOCKED: RouteFailure = { ok: false, failure: "blocked_address" };

/** A target's addresses, every one of them allowed; otherwise why there is nothing to connect to. */
export function findDestination(
  target: Target,
  { guard, resolve, allowHttp }: RouteOptions,
  now: number,
  deadline: number,
): Destination | RouteFailure | Promise<Destination | RouteFailure> {
  if (!target.secure && !allowHttp) return BLOCKED;
  const { route } = target;
  const fresh = route !== null && now < route.until;
  if (fresh && route.answers === null) return route.destination;
  const verdict = fresh ? "name" : guard.checkHost(target.hostname);
  if (verdict === "blocked") return BLOCKED;
  if (verdict === "allowed") return takeRoute(target, [target.host], null, now);
  const check = (answers: readonly string[] | "timeout" | "dns_failed"): Destination | RouteFailure => {
    if (typeof answers === "string") return { ok: false, failure: answers };
    if (fresh && route.answers === answers) return route.destination;
    if (answers.length === 0) return { ok: false, failure: "dns_failed" };
    // One forbidden answer spoils them all: whoever controls the name chose to mix them.
    if (!answers.every((address) => guard.isAllowedAddress(address))) return BLOCKED;
    return takeRoute(target, answers, answers, now);
  };
  const answers = resolve(target.host);
  return answers instanceof Promise ? within(deadline, answers).then(check) : check(answers);
}

function takeRoute(
  target: Target,
  addresses: readonly string[],
  answers: readonly string[] | null,
  now: number,
): Destination {
  const destination = createDestination(target, addresses);
  target.route = { destination, answers, until: now + ALLOWED_MS };
  return destination;
}

async function within(
  deadline: number,
  answer: Promise<readonly string[]>,
): Promise<readonly string[] | "timeout" | "dns_failed"> {
  let timer: ReturnType<typeof setTimeout> | undefined;
  const expired = new Promise<"timeout">((resolve) => {
    timer = setTimeout(resolve, Math.max(0, deadline - performance.now()), "timeout");
  });
  try {
    return await Promise.race([answer, expired]);
  } catch {
    return "dns_failed";
  } finally {
    clearTimeout(timer);
  }
}
