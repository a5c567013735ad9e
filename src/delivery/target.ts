import type { WebhookFormat } from "../formats.ts";
import { quote } from "../log.ts";
import type { WebhookHeaders } from "../webhook-headers.ts";
import { requestUrl } from "./formats/render.ts";
import type { Destination } from "./http/destination.ts";
import type { HttpProxy } from "./http/proxy.ts";
import { createSigner, type Signer } from "./signature.ts";

/** Where requests go, checked; to be found out anew when its time (monotonic) is over or the name has other addresses. */
export interface Route {
  destination: Destination;
  /** What the name was resolved to; null for a literal address. */
  answers: readonly string[] | null;
  until: number;
}

/** Where a webhook's requests go and how they are signed: worked out once, used for every attempt. */
export interface Target {
  url: string;
  format: WebhookFormat;
  organizationId: string | null;
  /** The host that the daemon runs on. */
  source: string;
  secure: boolean;
  /** Host name or literal address as the URL has it, an IPv6 address in brackets. */
  hostname: string;
  /** The same without brackets. */
  host: string;
  port: number;
  /** The host name as it stands in a log line. */
  logHost: string;
  /** Request line and the header fields that never change. */
  head: string;
  sign: Signer;
  /** Null before the first attempt. */
  route: Route | null;
}

export interface TargetInput {
  url: string;
  format: WebhookFormat;
  /** As the outside sees it; null for the operator's own webhook. */
  organizationId: string | null;
  /** The present secret, then the rotated one while it is still valid. */
  secrets: readonly string[];
  /** Header fields of the webhook's own, checked (webhook-headers.ts). */
  headers?: WebhookHeaders;
}

/** `Host` and `Accept` are there, and written so, because there are receivers that refuse a request otherwise. */
export function createTarget(
  input: TargetInput,
  { userAgent, source, proxy }: { userAgent: string; source: string; proxy: HttpProxy | null },
): Target {
  const { url, format, organizationId, secrets } = input;
  const { protocol, hostname, host, port, pathname, search } = new URL(requestUrl(format, url));
  const secure = protocol === "https:";
  const path = `${pathname}${search}`;
  return {
    url,
    format,
    organizationId,
    source,
    secure,
    route: null,
    hostname,
    logHost: quote(hostname),
    host: hostname.replace(/^\[|\]$/g, ""),
    port: port === "" ? (secure ? 443 : 80) : Number(port),
    head: inOnePiece(
      `POST ${proxy && !secure ? `http://${host}${path}` : path} HTTP/1.1\r\nHost: ${host}\r\n` +
        `${linesOf(input.headers ?? {})}${proxy && !secure ? credentialsFor(proxy) : ""}` +
        `content-type: application/json\r\nuser-agent: ${userAgent}\r\n`,
    ),
    sign: createSigner(secrets),
  };
}

/** The runtime keeps a text that was put together as its pieces, each with a header of its own, for as long as it lives. */
function inOnePiece(text: string): string {
  return Buffer.from(text).toString();
}

/** A webhook may have an `Accept` of its own. */
function linesOf(headers: WebhookHeaders): string {
  const own = Object.entries(headers);
  const hasAccept = own.some(([name]) => name.toLowerCase() === "accept");
  const all = hasAccept ? own : [["Accept", "*/*"], ...own];
  return all.map(([name, value]) => `${name}: ${value}\r\n`).join("");
}

/** In plain HTTP the proxy reads each request, in the absolute form (RFC 9112, 3.2.2). */
function credentialsFor({ authorization }: HttpProxy): string {
  return authorization === null ? "" : `Proxy-Authorization: ${authorization}\r\n`;
}
