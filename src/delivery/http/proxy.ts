import { isIP } from "node:net";

/** An HTTP proxy through which requests go. */
export interface HttpProxy {
  /** Host name or literal address, without brackets. */
  host: string;
  port: number;
  /** The host where it is an address; null for a name. */
  addresses: readonly string[] | null;
  /** The value of `Proxy-Authorization`; null without credentials. A secret. */
  authorization: string | null;
}

const DEFAULT_PORT = 80;

/** Reads `http://[user:password@]host:port`. Throws an Error that does not repeat what was given: it may hold a password. */
export function parseProxy(text: string): HttpProxy {
  const url = URL.canParse(text) ? new URL(text) : null;
  if (
    url?.protocol !== "http:" ||
    url.hostname === "" ||
    url.pathname !== "/" ||
    url.search + url.hash !== ""
  ) {
    throw new Error("it must be http://host:port, or http://user:password@host:port");
  }
  const host = url.hostname.replace(/^\[|\]$/g, "");
  return {
    host,
    addresses: isIP(host) > 0 ? [host] : null,
    port: url.port === "" ? DEFAULT_PORT : Number(url.port),
    authorization: authorizationOf(url),
  };
}

/** RFC 7617; the user name and the password are percent-encoded in the URL. */
function authorizationOf({ username, password }: URL): string | null {
  if (username === "" && password === "") return null;
  let pair: string;
  try {
    pair = `${decodeURIComponent(username)}:${decodeURIComponent(password)}`;
  } catch {
    throw new Error("its user name or password is not percent-encoded as a URL wants it (% is %25)");
  }
  return `Basic ${Buffer.from(pair).toString("base64")}`;
}

/** Statuses with which a proxy says that it does not pass a request on (RFC 9110, 15.5.8, 15.6.3, 15.6.5; 401 and 403 by its own rules). */
export const PROXY_REFUSALS: ReadonlySet<number> = new Set([401, 403, 407, 502, 504]);

/** A status with which a proxy answers for itself, in words for who has to mend it. */
export function proxyRefusal(status: number, { authorization }: Pick<HttpProxy, "authorization">): string {
  // 401 is what tinyproxy says to wrong credentials.
  if (status !== 407 && status !== 401) return `the proxy answered ${status} and did not connect`;
  return authorization === null
    ? `the proxy wants a user name and a password (${status})`
    : `the proxy refuses the user name and the password (${status})`;
}
