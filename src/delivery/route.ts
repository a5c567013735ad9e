import { descriptorsAreOut, NO_DESCRIPTOR } from "../descriptors.ts";
import type { AttemptError } from "../store/sqlite/deliveries.ts";
import { createDestination, type Destination } from "./http/destination.ts";
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
  /** For a person. */
  detail: string;
}

export interface RouteOptions {
  guard: TargetGuard;
  resolve: Resolve;
  allowHttp: boolean;
}

/** This machine's own addresses are refused and may change, so a verdict holds for a second only. */
const ALLOWED_MS = 1_000;

/** A target's addresses, every one of them allowed; otherwise why there is nothing to connect to. */
export function findDestination(
  target: Target,
  { guard, resolve, allowHttp }: RouteOptions,
  now: number,
  deadline: number,
): Destination | RouteFailure | Promise<Destination | RouteFailure> {
  if (!target.secure && !allowHttp) return blocked("http:// targets are refused without --allow-http");
  const { route, host } = target;
  const fresh = route !== null && now < route.until;
  if (fresh && route.answers === null) return route.destination;
  const verdict = fresh ? "name" : guard.checkHost(target.hostname);
  if (verdict === "blocked") return blocked(`${host} is refused by the target guard`);
  if (verdict === "allowed") return takeRoute(target, [host], null, now);
  const check = (answers: readonly string[]): Destination | RouteFailure => {
    if (fresh && route.answers === answers) return route.destination;
    if (answers.length === 0) return unresolved(host, "ENOTFOUND");
    // One forbidden answer spoils them all: whoever controls the name chose to mix them.
    const forbidden = answers.find((address) => !guard.isAllowedAddress(address));
    if (forbidden !== undefined)
      return blocked(`${host} leads to ${forbidden}, which is refused by the target guard`);
    return takeRoute(target, answers, answers, now);
  };
  const answers = resolve(host);
  if (!(answers instanceof Promise)) return check(answers);
  return within(deadline, host, answers).then((found) => ("failure" in found ? found : check(found)));
}

function blocked(detail: string): RouteFailure {
  return { ok: false, failure: "blocked_address", detail };
}

/** `code` is c-ares' own. */
function unresolved(host: string, code: string): RouteFailure {
  const detail = /^(ENOTFOUND|ENODATA|ENONAME)$/.test(code)
    ? `there is no such name as ${host}, or it has no address`
    : `the name servers gave no answer for ${host}${code === "" ? "" : ` (${code})`}`;
  return { ok: false, failure: "dns_failed", detail };
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
  host: string,
  answer: Promise<readonly string[]>,
): Promise<readonly string[] | RouteFailure> {
  let timer: ReturnType<typeof setTimeout> | undefined;
  const expired = new Promise<RouteFailure>((resolve) => {
    const late: RouteFailure = {
      ok: false,
      failure: "timeout",
      detail: `no name server answered for ${host} in time`,
    };
    timer = setTimeout(resolve, Math.max(0, deadline - performance.now()), late);
  });
  try {
    return await Promise.race([answer, expired]);
  } catch (error) {
    // A question needs a descriptor too.
    if (descriptorsAreOut()) return { ok: false, failure: "out_of_resources", detail: NO_DESCRIPTOR };
    const { code } = error as { code?: unknown };
    return unresolved(host, typeof code === "string" ? code.replace(/^DNS_/, "").slice(0, 30) : "");
  } finally {
    clearTimeout(timer);
  }
}
