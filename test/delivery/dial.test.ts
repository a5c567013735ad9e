import { afterEach, describe, expect, test } from "bun:test";
import { connect, createServer } from "node:net";
import { createDestination } from "../../src/delivery/http/destination.ts";
import { createAuthority, withoutOpenssl } from "../support/certificates.ts";
import { until } from "../support/daemon.ts";
import { atEnd, cleanUp, emptyDir } from "../support/e2e.ts";
import { type RawReceiver, startRawReceiver } from "../support/raw-receiver.ts";
import { testSender } from "../support/senders.ts";

afterEach(cleanUp);

/**
 * An address that takes connections to nowhere: its queue of connections that nobody accepts is full, so that the
 * kernel drops what comes, as a black hole does.
 */
async function blackHole(address: string): Promise<number> {
  const script = `
    import socket, time
    listener = socket.socket(); listener.bind(("${address}", 0)); listener.listen(0)
    held = []
    for _ in range(16):
        one = socket.socket(); one.setblocking(False)
        one.connect_ex(listener.getsockname()); held.append(one)
    time.sleep(0.3)
    print(listener.getsockname()[1], flush=True)
    time.sleep(60)`;
  const lines = script.split("\n").map((line) => line.replace(/^ {4}/, ""));
  const child = Bun.spawn(["python3", "-c", lines.join("\n")], { stdout: "pipe", stderr: "inherit" });
  atEnd(() => child.kill());
  // Not read in a loop that is left: that would close the pipe, at which Python ends.
  const { value } = await child.stdout.getReader().read();
  return Number(new TextDecoder().decode(value));
}

async function receiver(host: string, port: number): Promise<RawReceiver> {
  const started = await startRawReceiver({ host, port });
  atEnd(started.stop);
  return started;
}

async function timed<T>(work: Promise<T>): Promise<{ result: T; milliseconds: number }> {
  const began = performance.now();
  return { result: await work, milliseconds: performance.now() - began };
}

test("the families come by turns, beginning with that of the first address", () => {
  const order = (...addresses: string[]) =>
    createDestination({ secure: true, host: "x.test", port: 443 }, addresses).addresses.map(
      (one) => one.address,
    );
  expect(order("::1", "::2", "::3", "192.0.2.1")).toEqual(["::1", "192.0.2.1", "::2", "::3"]);
  expect(order("192.0.2.1", "192.0.2.2", "::1")).toEqual(["192.0.2.1", "::1", "192.0.2.2"]);
  expect(order("192.0.2.1")).toEqual(["192.0.2.1"]);
});

describe.if(Bun.which("python3") !== null)("a name whose first address is a black hole", () => {
  test("costs a quarter of a second once, and nothing from then on", async () => {
    const port = await blackHole("127.0.0.4");
    const server = await receiver("127.0.0.3", port);
    const send = testSender({ resolve: () => ["127.0.0.4", "127.0.0.3"], timeoutMs: 5_000 });
    const url = `http://hooks.test:${port}/`;
    const first = await timed(send(url));
    expect(first.result).toMatchObject({ status: 200, error: null });
    expect(first.milliseconds).toBeGreaterThan(200);
    expect(first.milliseconds).toBeLessThan(1_500);
    for (const socket of server.sockets) socket.destroy();
    await until("the connection is gone", () => server.sockets.size === 0);
    await Bun.sleep(50);
    const second = await timed(send(url));
    expect(second.result).toMatchObject({ status: 200, error: null });
    expect(second.milliseconds).toBeLessThan(200);
    expect(server.connections).toBe(2);
  });

  test("that has nothing else ends by its deadline and says where nobody was", async () => {
    const port = await blackHole("127.0.0.4");
    const { result, milliseconds } = await timed(testSender({ timeoutMs: 400 })(`http://127.0.0.4:${port}/`));
    expect(result).toMatchObject({
      error: "timeout",
      detail: `no connection to 127.0.0.4 port ${port} in time`,
    });
    expect(milliseconds).toBeLessThan(900);
  });
});

test.skipIf(withoutOpenssl)(
  "one that is reached has more time for its handshake than a quarter of a second",
  async () => {
    const authority = createAuthority(emptyDir());
    const tls = authority.issue({ names: ["DNS:hooks.test"] });
    const server = await startRawReceiver({ tls });
    atEnd(server.stop);
    let reached = 0;
    const slow = createServer((socket) => {
      reached += 1;
      socket.on("error", () => {});
      const onward = connect(server.port, "127.0.0.1").on("error", () => {});
      setTimeout(() => socket.pipe(onward).pipe(socket), 500);
    });
    await new Promise<void>((resolve) => slow.listen(0, "127.0.0.4", () => resolve()));
    atEnd(() => slow.close());
    const { port } = slow.address() as { port: number };
    const next = await receiver("127.0.0.3", port);
    const send = testSender({
      resolve: () => ["127.0.0.4", "127.0.0.3"],
      timeoutMs: 5_000,
      ca: [authority.cert],
    });
    expect(await send(`https://hooks.test:${port}/`)).toMatchObject({ status: 200, error: null });
    expect([reached, next.connections]).toEqual([1, 0]);
  },
);

test("addresses that all refuse are named", async () => {
  const closed = await receiver("127.0.0.1", 0);
  await closed.stop();
  const send = testSender({ resolve: () => ["127.0.0.4", "127.0.0.3"] });
  expect(await send(`http://hooks.test:${closed.port}/`)).toMatchObject({
    error: "connection_failed",
    detail: `127.0.0.4 port ${closed.port} refused the connection; 127.0.0.3 port ${closed.port} refused the connection`,
  });
});
