type Bytes = readonly number[];

/** A network in canonical form: 4 or 16 address bytes with nothing set beyond the prefix (RFC 4632, RFC 4291 2.3). */
export type Cidr = Readonly<{ network: Bytes; prefix: number }>;

/** What a URL's host is before any connection: a permitted address, a refused one, or a name for DNS to resolve. */
export type HostVerdict = "allowed" | "blocked" | "name";

/** Decides where requests may go; both answers are "no" for whatever they cannot read. */
export type TargetGuard = Readonly<{
  isAllowedAddress(address: string): boolean;
  checkHost(hostname: string): HostVerdict;
}>;

// IANA IPv4 Special-Purpose Address Registry (RFC 6890, RFC 8190) and multicast (RFC 5771). The globally
// reachable entries are here as well: no webhook receiver lives on an AS112, AMT or relay anycast address.
const specialIPv4 = [
  "0.0.0.0/8", // this network
  "10.0.0.0/8", // private
  "100.64.0.0/10", // shared by carrier NAT; Alibaba's metadata is 100.100.100.200
  "127.0.0.0/8", // loopback
  "168.63.129.16/32", // Azure's host agent, on an otherwise public block
  "169.254.0.0/16", // link-local; most clouds' metadata is 169.254.169.254
  "172.16.0.0/12", // private
  "192.0.0.0/24", // IETF protocol assignments; Oracle's metadata is 192.0.0.192
  "192.0.2.0/24", // documentation
  "192.31.196.0/24", // AS112
  "192.52.193.0/24", // AMT
  "192.88.99.0/24", // 6to4 relay anycast
  "192.168.0.0/16", // private
  "192.175.48.0/24", // AS112
  "198.18.0.0/15", // benchmarking
  "198.51.100.0/24", // documentation
  "203.0.113.0/24", // documentation
  "224.0.0.0/4", // multicast
  "240.0.0.0/4", // reserved, limited broadcast
].map(parseCidr);

// IANA IPv6 Global Unicast Address Assignments. Loopback, IPv4-compatible, 64:ff9b:1::/48, discard, SRv6 SIDs, ULA
// (fd00:ec2::254 is AWS metadata), link-local, site-local and multicast lie outside and need no entry below.
const globalUnicastIPv6 = parseCidr("2000::/3");

// IANA IPv6 Special-Purpose Address Registry, as far as it lies inside 2000::/3.
const specialIPv6 = [
  "2001::/23", // IETF protocol assignments: Teredo, benchmarking, AMT, AS112, ORCHID, drone IDs
  "2001:db8::/32", // documentation
  "2620:4f:8000::/48", // AS112
  "3fff::/20", // documentation
].map(parseCidr);

// Prefixes whose addresses lead to an IPv4 address, and the byte at which it starts (RFC 6052 2.1, RFC 3056 2).
const translations = [
  { cidr: parseCidr("64:ff9b::/96"), at: 12 },
  { cidr: parseCidr("2002::/16"), at: 2 },
];

const loopbacks = [parseCidr("127.0.0.1"), parseCidr("::1")];

/** Reads `10.0.0.0/8`, `fd00::/8` or a bare address; IPv4-mapped networks become IPv4; throws an Error that says what to write. */
export function parseCidr(text: string): Cidr {
  const [address = "", length, ...rest] = text.trim().split("/");
  const bytes = parseAddress(address);
  if (!bytes || rest.length > 0) {
    throw new Error(
      `${JSON.stringify(text)} is not an IP network; write an address and a prefix length, such as 10.0.0.0/8 or fd00::/8`,
    );
  }
  const width = bytes.length * 8;
  const mappedBits = address.includes(":") ? 128 - width : 0;
  const prefix = length === undefined ? width : parsePrefix(text, length, mappedBits, width + mappedBits);
  const network = keepBits(bytes, prefix);
  if (!isSame(network, bytes)) {
    throw new Error(
      `${JSON.stringify(text)} has address bits set beyond its prefix; ` +
        `write ${format(network)}/${prefix} for the network or ${format(bytes)} for the one address`,
    );
  }
  return { network, prefix };
}

/** Builds the guard; `ownAddresses` (this machine's interfaces) is asked only about addresses that the tables allow, and what it throws passes through. */
export function createTargetGuard({
  allowNetworks,
  ownAddresses = () => [],
}: {
  allowNetworks: readonly Cidr[];
  ownAddresses?: () => readonly string[];
}): TargetGuard {
  const isOpened = (bytes: Bytes) => allowNetworks.some((cidr) => covers(cidr, bytes));
  const localhost = loopbacks.some(({ network }) => isOpened(network)) ? "name" : "blocked";

  function isAllowedAddress(address: string): boolean {
    const bytes = parseAddress(address);
    if (!bytes) return false;
    return isOpened(bytes) || (isGlobalUnicast(bytes) && !isOneOf(bytes, ownAddresses()));
  }

  function checkHost(hostname: string): HostVerdict {
    const host = hostname.toLowerCase().replace(/\.$/, "");
    const literal = literalAddress(host);
    if (literal !== undefined) return isAllowedAddress(literal) ? "allowed" : "blocked";
    if (!isPlainName(host)) return "blocked";
    return /(^|\.)localhost$/.test(host) ? localhost : "name";
  }

  return { isAllowedAddress, checkHost };
}

function isGlobalUnicast(bytes: Bytes): boolean {
  const ipv4 = bytes.length === 4 ? bytes : embeddedIPv4(bytes);
  if (ipv4) return !specialIPv4.some((cidr) => covers(cidr, ipv4));
  return covers(globalUnicastIPv6, bytes) && !specialIPv6.some((cidr) => covers(cidr, bytes));
}

function embeddedIPv4(bytes: Bytes): Bytes | undefined {
  const found = translations.find(({ cidr }) => covers(cidr, bytes));
  return found && bytes.slice(found.at, found.at + 4);
}

function isOneOf(bytes: Bytes, addresses: readonly string[]): boolean {
  const embedded = embeddedIPv4(bytes);
  return addresses.some((address) => {
    const own = parseAddress(address);
    return own !== undefined && (isSame(own, bytes) || (embedded !== undefined && isSame(own, embedded)));
  });
}

function literalAddress(host: string): string | undefined {
  if (host.startsWith("[") && host.endsWith("]") && host.includes(":")) return host.slice(1, -1);
  return parseIPv4(host) ? host : undefined;
}

// A last label that is a number makes the whole name an IPv4 address to inet_aton, in whichever spelling.
function isPlainName(host: string): boolean {
  const labels = host.split(".");
  return (
    labels.every((label) => /^[a-z0-9_-]+$/.test(label)) && !/^(\d+|0x[0-9a-f]*)$/.test(labels.at(-1) ?? "")
  );
}

function covers({ network, prefix }: Cidr, bytes: Bytes): boolean {
  return isSame(keepBits(bytes, prefix), network);
}

function isSame(a: Bytes, b: Bytes): boolean {
  return a.length === b.length && a.every((byte, index) => byte === b[index]);
}

function keepBits(bytes: Bytes, prefix: number): Bytes {
  return bytes.map((byte, index) => byte & (0xff00 >> Math.min(8, Math.max(0, prefix - index * 8))));
}

function parsePrefix(text: string, length: string, lowest: number, highest: number): number {
  const prefix = /^(0|[1-9]\d{0,2})$/.test(length) ? Number(length) : Number.NaN;
  if (prefix >= lowest && prefix <= highest) return prefix - lowest;
  const hint = lowest > 0 ? ", or write the network as IPv4" : "";
  throw new Error(
    `${JSON.stringify(text)} has a wrong prefix length; write a number from ${lowest} to ${highest} after the slash${hint}`,
  );
}

// An IPv4-mapped address is the IPv4 address: the system connects to that, so nothing may tell them apart.
function parseAddress(text: string): Bytes | undefined {
  if (!text.includes(":")) return parseIPv4(text);
  const bytes = parseIPv6(text);
  const isMapped =
    bytes?.slice(0, 10).every((byte) => byte === 0) && bytes[10] === 0xff && bytes[11] === 0xff;
  return isMapped ? bytes?.slice(12) : bytes;
}

function parseIPv4(text: string): Bytes | undefined {
  const parts = text.split(".", 5);
  const bytes = parts.map((part) => (/^(0|[1-9]\d{0,2})$/.test(part) ? Number(part) : 256));
  return bytes.length === 4 && bytes.every((byte) => byte <= 255) ? bytes : undefined;
}

function parseIPv6(text: string): Bytes | undefined {
  const halves = quadToGroups(text).split("::", 3);
  const [head, tail] = [parseGroups(halves[0] ?? ""), parseGroups(halves[1] ?? "")];
  if (!head || !tail || halves.length > 2) return undefined;
  const missing = 16 - head.length - tail.length;
  const isComplete = halves.length === 1 ? missing === 0 : missing >= 2;
  return isComplete ? [...head, ...Array<number>(missing).fill(0), ...tail] : undefined;
}

// A quad that is not an address stays as it is, and its dots then fail as a group.
function quadToGroups(text: string): string {
  const start = text.lastIndexOf(":") + 1;
  const quad = parseIPv4(text.slice(start));
  return quad ? text.slice(0, start) + toGroups(quad) : text;
}

function parseGroups(text: string): Bytes | undefined {
  if (text === "") return [];
  const groups = text.split(":", 9);
  if (!groups.every((group) => /^[0-9a-f]{1,4}$/i.test(group))) return undefined;
  return groups.flatMap((group) => [Number.parseInt(group, 16) >> 8, Number.parseInt(group, 16) & 0xff]);
}

function toGroups(bytes: Bytes): string {
  const hex = bytes.map((byte) => byte.toString(16).padStart(2, "0")).join("");
  return hex.replace(/(.{4})(?=.)/g, "$1:");
}

function format(bytes: Bytes): string {
  if (bytes.length === 4) return bytes.join(".");
  return new URL(`http://[${toGroups(bytes)}]`).hostname.slice(1, -1);
}
