import { descriptorsAreOut, NO_DESCRIPTOR } from "../descriptors.ts";
import type { AttemptError } from "../outcomes.ts";
import { createDestination, type Destination } from "./http/destination.ts";
import type { HttpProxy } from "./http/proxy.ts";
import type { Resolve } from "./resolver.ts";
import type { Target } from "./target.ts";
import type { TargetGuard } from "./target-guard.ts";

/** Why nothing could be sent. */
export interface RouteFailure {
  ok: false;
  failure: AttemptError;
  /** For a person. */
  detail: string;
}

type Found = Destination | RouteFailure;

export interface RouteOptions {
  guard: TargetGuard;
  resolve: Resolve;
  allowHttp: boolean;
  /** Null or left out: connections go to the receivers themselves. */
  proxy?: HttpProxy | null;
}

/** This machine's own addresses are refused and may change, so a verdict holds for a second only. */
const ALLOWED_MS = 1_000;

/** A target's addresses, every one of them allowed, or the proxy's; otherwise why there is nothing to connect to. */
export function findDestination(
  target: Target,
  options: RouteOptions,
  now: number,
  deadline: number,
): Found | Promise<Found> {
  if (!target.secure && !options.allowHttp)
    return blocked("http:// targets are refused without --allow-http");
  const { proxy } = options;
  return proxy
    ? throughProxy(target, { ...options, proxy }, now, deadline)
    : direct(target, options, now, deadline);
}

function direct(
  target: Target,
  { guard, resolve }: Pick<RouteOptions, "guard" | "resolve">,
  now: number,
  deadline: number,
): Found | Promise<Found> {
  const { route, host } = target;
  const isValid = route !== null && now < route.until;
  if (isValid && route.answers === null) return route.destination;
  const verdict = isValid ? "name" : guard.checkHost(target.hostname);
  if (verdict === "blocked") return refused(host);
  if (verdict === "allowed") return takeRoute(target, createDestination(target, [host]), null, now);
  const check = (answers: readonly string[]): Found => {
    if (isValid && route.answers === answers) return route.destination;
    const forbidden = forbiddenAmong(host, answers, guard);
    return forbidden ?? takeRoute(target, createDestination(target, answers), answers, now);
  };
  return withAnswers(host, resolve(host), deadline, check);
}

/**
 * Names go to the proxy as they are: where they lead is the proxy's to guard. What leads into the network that the
 * proxy is in without any name server's help is still checked here.
 */
function throughProxy(
  target: Target,
  { guard, resolve, proxy }: RouteOptions & { proxy: HttpProxy },
  now: number,
  deadline: number,
): Found | Promise<Found> {
  const { host, route } = target;
  const goOn = (): Found | Promise<Found> => {
    const take = (answers: readonly string[]): Found => {
      if (answers.length === 0) return unresolved(proxy.host, "ENOTFOUND");
      if (route && route.answers === answers) return route.destination;
      return takeRoute(target, createDestination(target, answers, proxy), answers, now);
    };
    const found = withAnswers(proxy.host, proxy.addresses ?? resolve(proxy.host), deadline, take);
    return found instanceof Promise ? found.then(asProxyFailure) : asProxyFailure(found);
  };
  const verdict = guard.checkHost(target.hostname);
  if (verdict === "blocked") return refused(host);
  if (verdict === "allowed" || !isLocalName(host)) return goOn();
  const checked = withAnswers(host, resolve(host), deadline, (answers) =>
    forbiddenAmong(host, answers, guard),
  );
  return checked instanceof Promise ? checked.then((failure) => failure ?? goOn()) : (checked ?? goOn());
}

/** `localhost` and single labels: the search list, or the hosts file, of the proxy's machine says where they lead. */
function isLocalName(host: string): boolean {
  const name = host.toLowerCase().replace(/\.$/, "");
  return !name.includes(".") || name.endsWith(".localhost");
}

function asProxyFailure(found: Found): Found {
  if (!("failure" in found) || found.failure === "out_of_resources") return found;
  return { ...found, failure: "proxy_failed", detail: `the proxy's name: ${found.detail}` };
}

/** One forbidden answer spoils them all: whoever controls the name chose to mix them. */
function forbiddenAmong(host: string, answers: readonly string[], guard: TargetGuard): RouteFailure | null {
  if (answers.length === 0) return unresolved(host, "ENOTFOUND");
  const forbidden = answers.find((address) => !guard.isAllowedAddress(address));
  if (forbidden === undefined) return null;
  return blocked(`${host} leads to ${forbidden}, which is refused by the target guard`);
}

function refused(host: string): RouteFailure {
  return blocked(`${host} is refused by the target guard`);
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
  destination: Destination,
  answers: readonly string[] | null,
  now: number,
): Destination {
  target.route = { destination, answers, until: now + ALLOWED_MS };
  return destination;
}

/** Goes on with a name's answers, at once where they are known. */
function withAnswers<Result>(
  host: string,
  answers: readonly string[] | Promise<readonly string[]>,
  deadline: number,
  goOn: (answers: readonly string[]) => Result,
): Result | RouteFailure | Promise<Result | RouteFailure> {
  if (!(answers instanceof Promise)) return goOn(answers);
  return within(deadline, host, answers).then((found) => ("failure" in found ? found : goOn(found)));
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
