import { isIPv6 } from "node:net";
import type { HttpProxy } from "./proxy.ts";

/** Where a target's requests go: made once for as long as its addresses stay the same. */
export interface Destination {
  readonly secure: boolean;
  /** Host name for the certificate check and SNI, or the literal address. */
  readonly host: string;
  readonly port: number;
  /** Scheme, host and port, in one word. */
  readonly name: string;
  /** The proxy that the addresses are those of; null when they are the receiver's. */
  readonly proxy: HttpProxy | null;
  /** Checked addresses in the order in which they are tried, each with the key of its connections. */
  readonly addresses: readonly DestinationAddress[];
}

export interface DestinationAddress {
  readonly address: string;
  readonly key: string;
}

export function createDestination(
  to: Pick<Destination, "secure" | "host" | "port">,
  addresses: readonly string[],
  proxy: HttpProxy | null = null,
): Destination {
  const { secure, host, port } = to;
  const name = `${secure ? "s" : "p"}|${host}|${port}|`;
  return {
    secure,
    host,
    port,
    name,
    proxy,
    addresses: interleave(addresses).map((address) => ({ address, key: name + address })),
  };
}

/** The families by turns, beginning with that of the first address (RFC 8305, 4): one that leads nowhere costs one step. */
function interleave(addresses: readonly string[]): readonly string[] {
  if (addresses.length < 3) return addresses;
  const startsWithIPv6 = isIPv6(addresses[0] as string);
  const first = addresses.filter((address) => isIPv6(address) === startsWithIPv6);
  const second = addresses.filter((address) => isIPv6(address) !== startsWithIPv6);
  const mixed: string[] = [];
  for (let i = 0; mixed.length < addresses.length; i += 1)
    mixed.push(...first.slice(i, i + 1), ...second.slice(i, i + 1));
  return mixed;
}
