import { connect, createServer, type Socket } from "node:net";
import { atEnd } from "./e2e.ts";

/** Stands before a server, and can swallow everything: connections stay open, and nothing comes through, not even an end. */
export interface SwallowingProxy {
  port: number;
  /** From now on nothing passes, on new connections neither. */
  swallow(): void;
  /** New connections go to another port. */
  lead(port: number): void;
  /** New connections pass again; those from before stay as dead as they are. */
  pass(): void;
}

export async function startSwallowingProxy(port: number): Promise<SwallowingProxy> {
  let behind = port;
  let isSwallowing = false;
  const dead = new WeakSet<Socket>();
  const open = new Set<Socket>();
  const server = createServer((client) => {
    open.add(client);
    client.on("error", () => {});
    if (isSwallowing) {
      dead.add(client);
      client.resume();
      return;
    }
    const upstream = connect({ port: behind, host: "127.0.0.1" });
    upstream.on("error", () => client.destroy());
    client.on("data", (bytes) => !dead.has(client) && upstream.write(bytes));
    upstream.on("data", (bytes) => !dead.has(client) && client.write(bytes));
    client.on("close", () => upstream.destroy());
    upstream.on("close", () => !dead.has(client) && client.destroy());
  });
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  atEnd(() => {
    for (const socket of open) socket.destroy();
    server.close();
  });
  const address = server.address();
  return {
    port: typeof address === "object" && address ? address.port : 0,
    swallow() {
      isSwallowing = true;
      for (const socket of open) dead.add(socket);
    },
    lead(next) {
      behind = next;
    },
    pass() {
      isSwallowing = false;
    },
  };
}
