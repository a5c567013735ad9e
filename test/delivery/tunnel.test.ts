import { afterEach, describe, expect, test } from "bun:test";
import { parseProxy } from "../../src/delivery/http/proxy.ts";
import { openTunnel, type Tunnel, type TunnelFailure } from "../../src/delivery/http/tunnel.ts";
import { until } from "../support/daemon.ts";
import { atEnd, cleanUp } from "../support/e2e.ts";
import { type RawReceiver, type RawReceiverOptions, startRawReceiver } from "../support/raw-receiver.ts";

afterEach(cleanUp);

const TO = { host: "hooks.test", port: 443 };

async function proxyThat(onRequest: RawReceiverOptions["onRequest"]): Promise<RawReceiver> {
  const proxy = await startRawReceiver(onRequest && { onRequest });
  atEnd(proxy.stop);
  return proxy;
}

interface Asked {
  tunnel: Tunnel;
  /** What came of it, in order. */
  told: ("open" | TunnelFailure)[];
}

function ask(port: number, to = TO, user = ""): Asked {
  const told: Asked["told"] = [];
  const tunnel = openTunnel({
    address: "127.0.0.1",
    proxy: parseProxy(`http://${user}127.0.0.1:${port}`),
    to,
    onOpen: (socket) => {
      atEnd(() => socket.terminate());
      told.push("open");
    },
    onFailed: (failure) => told.push(failure),
  });
  return { tunnel, told };
}

/** What a proxy makes of CONNECT that answers with these pieces, a moment apart. */
async function toldBy(...pieces: string[]): Promise<Asked["told"]> {
  const { port } = await proxyThat(async (socket) => {
    for (const piece of pieces) {
      socket.write(piece, "latin1");
      await Bun.sleep(5);
    }
  });
  const { told } = ask(port);
  await until("something is told", () => told.length > 0);
  return told;
}

const failure = (detail: string, status: number | null = null) => [{ detail, status, short: false }];

describe("a tunnel", () => {
  test("is asked for by the receiver's name and port, and is open with any 2xx", async () => {
    const proxy = await proxyThat((socket) => socket.write("HTTP/1.1 204 Fine\r\n\r\n"));
    const { told } = ask(proxy.port);
    await until("it is open", () => told.length > 0);
    expect(told).toEqual(["open"]);
    expect(proxy.requests).toEqual(["CONNECT hooks.test:443 HTTP/1.1\r\nHost: hooks.test:443\r\n\r\n"]);
  });

  test("is asked for with credentials, and with brackets around an IPv6 address", async () => {
    const proxy = await proxyThat((socket) => socket.write("HTTP/1.1 200 OK\r\n\r\n"));
    const { told } = ask(proxy.port, { host: "2001:db8::1", port: 8443 }, "ada:secret@");
    await until("it is open", () => told.length > 0);
    expect(proxy.requests[0]).toStartWith("CONNECT [2001:db8::1]:8443 HTTP/1.1\r\n");
    expect(proxy.requests[0]).toContain(`\r\nProxy-Authorization: Basic ${btoa("ada:secret")}\r\n`);
  });

  test("is open once the whole head has come, in however many pieces", async () => {
    expect(await toldBy("HTT", "P/1.1 200 OK\r\nVia: x\r", "\n\r", "\n")).toEqual(["open"]);
  });

  test("that the proxy refuses has its status, and says what to do about credentials", async () => {
    const refused = "the proxy answered 403 and did not connect";
    expect(await toldBy("HTTP/1.1 403 No\r\n\r\n")).toEqual(failure(refused, 403));
    const wanted = "the proxy wants a user name and a password (407)";
    expect(await toldBy("HTTP/1.1 407 Who\r\n\r\n")).toEqual(failure(wanted, 407));
  });

  test("fails when the answer is not HTTP, has no end, or does not come", async () => {
    const [other] = await toldBy("SSH-2.0-OpenSSH_9.6\r\n\r\n");
    expect(other).toMatchObject({ detail: expect.stringContaining("does not answer as an HTTP proxy does") });
    const endless = `HTTP/1.1 200 OK\r\nx: ${"y".repeat(17_000)}`;
    expect(await toldBy(endless)).toEqual(failure("the proxy's answer to CONNECT has no end"));
    const silent = await proxyThat((socket) => socket.destroy());
    const { told } = ask(silent.port);
    await until("it has failed", () => told.length > 0);
    expect(told).toEqual(failure("the proxy closed the connection without an answer to CONNECT"));
  });

  test("fails when bytes of the proxy's own come behind its answer: they must not reach the handshake", async () => {
    const told = await toldBy("HTTP/1.1 200 OK\r\n\r\nGET");
    expect(told).toEqual(failure("the proxy sent something of its own into the tunnel"));
  });

  test("to where nobody listens is refused, and never before openTunnel has returned", async () => {
    const gone = await startRawReceiver();
    await gone.stop();
    const { told } = ask(gone.port);
    expect(told).toEqual([]);
    await until("it has failed", () => told.length > 0);
    expect(told).toEqual(failure(`the proxy 127.0.0.1 port ${gone.port} refused the connection`));
  });

  test("that is cancelled tells nothing and lets go of the proxy, before and after it has connected", async () => {
    const proxy = await proxyThat(() => {});
    const early = ask(proxy.port);
    early.tunnel.cancel();
    const late = ask(proxy.port);
    await until("it has asked", () => proxy.requests.length === 1);
    late.tunnel.cancel();
    await until("both are gone", () => proxy.connections === 2 && proxy.sockets.size === 0);
    expect([early.told, late.told]).toEqual([[], []]);
  });

  test("that is open is not ended by cancelling it", async () => {
    const proxy = await proxyThat((socket) => socket.write("HTTP/1.1 200 OK\r\n\r\n"));
    const { tunnel, told } = ask(proxy.port);
    await until("it is open", () => told.length > 0);
    tunnel.cancel();
    await Bun.sleep(20);
    expect([proxy.sockets.size, told]).toEqual([1, ["open"]]);
  });
});
