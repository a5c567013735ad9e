import { getServers, setServers } from "node:dns";
import { readFileSync, statSync } from "node:fs";
import { isIP } from "node:net";
import type { Lookup } from "./resolver.ts";

/**
 * The addresses that the system's name servers, hosts file and search list give. It asks them without a
 * thread (c-ares): with `getaddrinfo` each look-up holds one of the runtime's few threads until it ends, so
 * that a handful of names whose servers are silent hold up every other name, and the disk, for many seconds.
 */
export const systemResolve: Lookup = async (hostname) => {
  followNameServers();
  const answers = await Bun.dns.lookup(hostname, { backend: "c-ares" });
  return answers.map(({ address }) => address);
};

const RESOLV_CONF = "/etc/resolv.conf";
const LOOK_EVERY_MS = 1_000;

let known: string | null = null;
let lookAt = 0;

/** c-ares reads the file once; a daemon that was started before its network must learn of the servers later. */
function followNameServers(): void {
  if (performance.now() < lookAt) return;
  lookAt = performance.now() + LOOK_EVERY_MS;
  const version = versionOf(RESOLV_CONF);
  const changed = known !== null && known !== version;
  known = version;
  if (!changed) return;
  const servers = nameServersIn(RESOLV_CONF);
  if (servers.length > 0 && servers.join() !== getServers().join()) setServers(servers);
}

/** Differs whenever the file was written or replaced; empty while there is none. */
function versionOf(path: string): string {
  const stats = statSync(path, { throwIfNoEntry: false });
  return stats ? [stats.ino, stats.size, stats.mtimeMs].join() : "";
}

/** resolv.conf(5): `nameserver` and an address. One with a zone (`fe80::1%eth0`) cannot be passed on. */
function nameServersIn(path: string): string[] {
  try {
    const found = readFileSync(path, "utf8").matchAll(/^\s*nameserver\s+(\S+)/gm);
    return [...found].map(([, address]) => address as string).filter((address) => isIP(address) > 0);
  } catch {
    // It is being replaced: the next look finds it.
    return [];
  }
}
