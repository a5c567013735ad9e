import { networkInterfaces } from "node:os";

const ASK_AGAIN_MS = 1_000;

/** This machine's own addresses, asked for once a second at most: the kernel's answer costs more than an attempt. */
export function createOwnAddresses(): () => readonly string[] {
  let known: string[] = [];
  let until = 0;
  return () => {
    if (performance.now() < until) return known;
    known = Object.values(networkInterfaces()).flatMap((list) => (list ?? []).map(({ address }) => address));
    until = performance.now() + ASK_AGAIN_MS;
    return known;
  };
}
