import { connect, createServer, type Socket } from "node:net";
import { atEnd } from "./e2e.ts";

/** Stands between scanner and daemon, and cuts connections in the middle of an ack; the daemon's events are its own. */
export interface CuttingProxy {
  /** How many connections were cut. */
  cuts: number;
  connections: number;
}

/** `cutAfter`: for each connection in turn, after how many bytes of acks it is cut; those after the last are left alone. */
export async function startCuttingProxy(
  path: string,
  daemon: string,
  cutAfter: readonly number[],
): Promise<CuttingProxy> {
  const proxy: CuttingProxy = { cuts: 0, connections: 0 };
  const server = createServer((scanner) => {
    const left = cutAfter[proxy.connections++] ?? Number.POSITIVE_INFINITY;
    const upstream = connect({ path: daemon });
    upstream.on("error", () => {});
    scanner.on("error", () => {});
    scanner.pipe(upstream);
    scanner.on("close", () => upstream.destroy());
    passOn(upstream, scanner, left, () => {
      proxy.cuts += 1;
      scanner.destroySoon();
      upstream.destroy();
    });
  });
  await new Promise<void>((resolve) => server.listen(path, resolve));
  atEnd(() => server.close());
  return proxy;
}

function passOn(from: Socket, to: Socket, limit: number, cut: () => void): void {
  let left = limit;
  from.on("data", (chunk: Buffer) => {
    if (left <= 0) return;
    to.write(chunk.subarray(0, left));
    left -= chunk.length;
    if (left <= 0) cut();
  });
  from.on("end", () => to.end());
}
