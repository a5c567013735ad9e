import type { HttpProxy } from "./proxy.ts";
import type { ParsedResponse } from "./response-head.ts";

/**
 * One TCP or TLS connection to a checked address, carrying one request at a time. It is ours rather than
 * `fetch`'s because a delivery engine needs what `fetch` does not give: no cap of 256 requests and 64 idle
 * connections per process, an address that cannot differ from the one that was checked, no proxy but
 * the operator's own, no redirect, no decompression, and bounds on whatever a receiver sends. Measured at half the CPU time of `fetch`.
 */
export interface Connection {
  /** Sends a whole request of so many bytes, once the connection is up and while no other one is under way; what comes of it goes to `onOutcome`. */
  send(request: string, bytes: number): void;
  /** Gives the connection up at once, without an outcome. */
  destroy(): void;
  /** The same, with the response to the request under way if its head was read by now; null otherwise. */
  cut(): ParsedResponse | null;
  readonly alive: boolean;
}

export interface ConnectionFailure {
  failure: "connection_failed" | "tls_failed" | "invalid_response" | "proxy_failed" | "out_of_resources";
  /** For a person. */
  detail: string;
}

export type ConnectionOutcome =
  | { ok: true; response: ParsedResponse }
  /** `unanswered`: not a byte of a response came, so a fresh connection may try again. */
  | ({ ok: false; unanswered: boolean } & ConnectionFailure);

export interface ConnectOptions {
  /** The checked IP address of the receiver, or the proxy's. */
  address: string;
  /** The receiver's, also where a proxy connects to it. */
  port: number;
  /** Null for plain HTTP. */
  tls: { serverName: string; ca: readonly string[] | null } | null;
  /** TLS goes through a tunnel that it opens, plain HTTP to itself. */
  proxy?: HttpProxy | null;
  /** The receiver is reached, through the proxy if there is one: what is left is TLS. */
  onReached?: () => void;
  /** Told once, never before `connect` has returned: null when the connection is up, otherwise why it never will be. */
  onUp: (failure: ConnectionFailure | null) => void;
  /** Told once of each request, and once more when the connection ends by itself while it idles. */
  onOutcome: (outcome: ConnectionOutcome) => void;
}
