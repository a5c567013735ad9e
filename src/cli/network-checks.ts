import type { Config } from "../config/config.ts";
import type { HttpProxy } from "../delivery/http/proxy.ts";
import { openTunnel, type TunnelFailure } from "../delivery/http/tunnel.ts";
import { systemResolve } from "../delivery/system-resolve.ts";
import type { Inspection } from "../store/inspection.ts";
import { type Finding, fail, ok, warn } from "./checks.ts";

const MAX_NAMES = 20;
const LOOKUP_MS = 5_000;

/** Looks up what the deliveries look up: the names of the enabled webhooks, the first few of them. */
export async function checkDns(
  { notifyUrl, proxy }: Config,
  inspection: Inspection | null,
): Promise<Finding> {
  if (proxy) return ok("not looked at: names go to the proxy as they are");
  const urls = [...(notifyUrl ? [notifyUrl] : []), ...(inspection?.facts?.urls ?? [])];
  const names = [...new Set(urls.map((url) => new URL(url).hostname).filter(isName))].slice(0, MAX_NAMES);
  if (names.length === 0) return ok("not looked at: no webhook has a name to look up");
  const found = await Promise.all(names.map(resolves));
  const missing = names.filter((_, i) => !found[i]);
  if (missing.length === 0) return ok(`${names.length} names of webhooks resolve`);
  if (missing.length === names.length) {
    return fail(
      `no name resolves (${missing.join(", ")})`,
      "check /etc/resolv.conf and that its name servers can be reached",
    );
  }
  return warn(`${missing.join(", ")} cannot be resolved`, "tell the owners of these webhooks");
}

function isName(hostname: string): boolean {
  return !/^[\d.]+$|^\[/.test(hostname);
}

async function resolves(name: string): Promise<boolean> {
  const late = Bun.sleep(LOOKUP_MS).then(() => []);
  const addresses = await Promise.race([systemResolve(name), late]).catch(() => []);
  return addresses.length > 0;
}

const TIMEOUT_MS = 5_000;
/** Asked for while there is no webhook: a name that leads nowhere (RFC 2606), to hear what the proxy says to us. */
const NOWHERE = "armorhooks.invalid";
const HTTPS_PORT = 443;

/** Whether the proxy answers, takes our credentials, and connects to where webhooks lead. */
export async function checkProxy({ proxy }: Config, inspection: Inspection | null): Promise<Finding> {
  if (!proxy) return ok("none is used");
  const target = targetOf(inspection?.facts?.urls ?? []);
  const addresses = proxy.addresses ?? (await systemResolve(proxy.host).catch(() => []));
  const [address] = addresses;
  if (address === undefined)
    return fail(`its name ${proxy.host} cannot be resolved`, "check --proxy and /etc/resolv.conf");
  return judge(proxy, target, await ask(proxy, address, target));
}

interface Target {
  host: string;
  port: number;
}

function targetOf(urls: readonly string[]): Target {
  const url = urls.map((text) => new URL(text)).find(({ protocol }) => protocol === "https:");
  if (!url) return { host: NOWHERE, port: HTTPS_PORT };
  return {
    host: url.hostname.replace(/^\[|\]$/g, ""),
    port: url.port === "" ? HTTPS_PORT : Number(url.port),
  };
}

/** Null when the tunnel was opened. */
function ask(proxy: HttpProxy, address: string, to: Target): Promise<TunnelFailure | null> {
  return new Promise((resolve) => {
    const late = setTimeout(() => {
      tunnel.cancel();
      resolve({ detail: `it did not answer within ${TIMEOUT_MS / 1000} s`, status: null, short: false });
    }, TIMEOUT_MS);
    const settle = (answer: TunnelFailure | null): void => {
      clearTimeout(late);
      resolve(answer);
    };
    const tunnel = openTunnel({
      address,
      proxy,
      to,
      onFailed: settle,
      onOpen: (socket) => {
        socket.terminate();
        settle(null);
      },
    });
  });
}

function judge({ host, port }: HttpProxy, target: Target, failure: TunnelFailure | null): Finding {
  if (failure === null) return ok(`${host} port ${port} connects to ${target.host}`);
  const { detail, status } = failure;
  if (status === null) return fail(detail, "check --proxy, and that the proxy can be reached from here");
  if (status === 401 || status === 407) return fail(detail, "put user:password@ into ARMORHOOKS_PROXY");
  if (target.host === NOWHERE) return ok(`${host} port ${port} answers`);
  return warn(`${detail} to ${target.host}`, "ask whoever runs the proxy to let this machine reach it");
}
