import { afterEach, describe, expect, test } from "bun:test";
import { connect, type Socket } from "node:net";
import { parseProxy } from "../../src/delivery/http/proxy.ts";
import { createAuthority, withoutOpenssl } from "../support/certificates.ts";
import { until } from "../support/daemon.ts";
import { atEnd, cleanUp, emptyDir } from "../support/e2e.ts";
import { ok, type RawReceiver, type RawReceiverOptions, startRawReceiver } from "../support/raw-receiver.ts";
import { type TestSenderOptions, testSender } from "../support/senders.ts";
import { startTinyproxy, withoutTinyproxy } from "../support/tinyproxy.ts";

afterEach(cleanUp);

async function receiver(options: RawReceiverOptions = {}): Promise<RawReceiver> {
  const started = await startRawReceiver(options);
  atEnd(started.stop);
  return started;
}

const delivered = { status: 200, error: null, detail: null };

/** A receiver with a certificate for `localhost`, a name that the proxy can resolve too. */
async function secureReceiver(options: RawReceiverOptions = {}) {
  const authority = createAuthority(emptyDir());
  const tls = authority.issue({ names: ["DNS:localhost", "IP:127.0.0.1"] });
  const server = await receiver({ ...options, tls });
  return { server, ca: [authority.cert], url: `https://localhost:${server.port}/hook` };
}

const through = (port: number, rest: TestSenderOptions = {}) =>
  testSender({ proxy: `http://127.0.0.1:${port}`, resolve: () => ["127.0.0.1"], ...rest });

describe("a proxy is read from its URL", () => {
  test.each([
    ["http://10.0.0.1:3128", "10.0.0.1", 3128, null],
    ["http://proxy.corp:80/", "proxy.corp", 80, null],
    ["http://[fd00::1]:8080", "fd00::1", 8080, null],
    ["http://user:pass@proxy.corp:3128", "proxy.corp", 3128, "user:pass"],
    ["http://us%40er:p%3Aa%25ss@proxy.corp:3128", "proxy.corp", 3128, "us@er:p:a%ss"],
  ])("%s", (text, host, port, credentials) => {
    const authorization = credentials && `Basic ${btoa(credentials)}`;
    expect(parseProxy(text)).toMatchObject({ host, port, authorization });
  });

  test.each([
    "proxy.corp:3128",
    "https://proxy.corp:3128",
    "socks5://proxy.corp:1080",
    "http://proxy.corp:3128/path",
    "http://user:secret@",
    "http://u:secret%@proxy.corp:3128",
    "secret",
  ])("and %s is none, which is said without repeating it", (text) => {
    expect(() => parseProxy(text)).toThrow(/^(it must be|its user name)/);
    try {
      parseProxy(text);
    } catch (error) {
      expect(String(error)).not.toContain("secret");
    }
  });
});

describe.skipIf(withoutTinyproxy || withoutOpenssl)("through tinyproxy", () => {
  test("https goes in a tunnel that is used again, and its certificate is verified as ever", async () => {
    const proxy = await startTinyproxy();
    const { server, ca, url } = await secureReceiver();
    const send = through(proxy.port, { ca });
    for (let i = 0; i < 3; i += 1) expect(await send(url)).toMatchObject(delivered);
    expect([server.connections, server.requests.length]).toEqual([1, 3]);
    expect(server.serverNames).toEqual(["localhost"]);
    expect(server.requests[0]).toStartWith("POST /hook HTTP/1.1\r\n");
    expect(server.requests[0]).not.toMatch(/proxy-|via:/i);
    await until("it is logged", () => proxy.log().includes(`CONNECT localhost:${server.port} HTTP/1.1`));
    expect(await through(proxy.port)(url)).toMatchObject({
      error: "tls_failed",
      detail: "issuer is unknown",
    });
  });

  test.each([
    ["127.0.0.2", "IP:127.0.0.2", null],
    ["127.0.0.2", "IP:127.0.0.1", "certificate is for 127.0.0.1"],
    ["127.0.0.2", "DNS:localhost", "certificate is for localhost"],
    ["::1", "IP:::1", null],
    ["::1", "IP:127.0.0.1", "certificate is for 127.0.0.1"],
  ])("https to the address %s is verified for it, not for the proxy's: %s", async (host, name, detail) => {
    const proxy = await startTinyproxy();
    const authority = createAuthority(emptyDir());
    const server = await receiver({ host, tls: authority.issue({ names: [name] }) });
    const url = `https://${host.includes(":") ? `[${host}]` : host}:${server.port}/`;
    const result = await through(proxy.port, { ca: [authority.cert] })(url);
    expect(result).toMatchObject(detail === null ? delivered : { error: "tls_failed", detail });
  });

  test("plain http goes in the absolute form", async () => {
    const proxy = await startTinyproxy();
    const server = await receiver();
    const url = `http://localhost:${server.port}/hook?a=b`;
    expect(await through(proxy.port)(url)).toMatchObject(delivered);
    expect(server.requests[0]).toStartWith("POST /hook?a=b HTTP/1.");
    expect(server.requests[0]).toMatch(/\r\nhost: localhost:\d+\r\n/i);
    expect(proxy.log()).toContain(`POST http://localhost:${server.port}/hook?a=b HTTP/1.1`);
  });

  test("with the credentials that it wants, and not without", async () => {
    const proxy = await startTinyproxy("BasicAuth user pass");
    const { server, ca, url } = await secureReceiver();
    const plain = await receiver();
    const urls = [url, `http://localhost:${plain.port}/`];
    const as = (user: string) => through(0, { ca, proxy: `http://${user}127.0.0.1:${proxy.port}` });
    for (const target of urls) {
      expect(await as("user:p%61ss@")(target)).toMatchObject(delivered);
      expect(await as("")(target)).toMatchObject({
        status: null,
        error: "proxy_failed",
        detail: "the proxy wants a user name and a password (407)",
      });
      expect(await as("user:wrong@")(target)).toMatchObject({
        error: "proxy_failed",
        detail: "the proxy refuses the user name and the password (401)",
      });
    }
    expect([server.requests.length, plain.requests.length]).toEqual([1, 1]);
    expect(plain.requests[0]).not.toMatch(/proxy-authorization/i);
  });

  test("what it cannot reach, or must not, is its failure", async () => {
    const proxy = await startTinyproxy("ConnectPort 443");
    const { server, ca, url } = await secureReceiver();
    expect(await through(proxy.port, { ca })(url)).toMatchObject({
      error: "proxy_failed",
      detail: "the proxy answered 403 and did not connect",
    });
    expect(server.connections).toBe(0);
  });

  test("one that dies amid a tunnel fails what is under way, and what comes after", async () => {
    const proxy = await startTinyproxy();
    const { ca, url } = await secureReceiver({ onRequest: () => setTimeout(proxy.stop, 50) });
    const send = through(proxy.port, { ca });
    expect(await send(url)).toMatchObject({
      error: "proxy_failed",
      detail: "the proxy, or the receiver behind it, closed the connection without an answer",
    });
    expect(await send(url)).toMatchObject({
      error: "proxy_failed",
      detail: `the proxy 127.0.0.1 port ${proxy.port} refused the connection`,
    });
  });
});

describe("a proxy that misbehaves", () => {
  const saying = (text: string): RawReceiverOptions => ({ onRequest: (socket) => socket.write(text) });
  const cases: [string, RawReceiverOptions, string][] = [
    ["refuses", saying("HTTP/1.1 502 no\r\n\r\n"), "the proxy answered 502 and did not connect"],
    [
      "redirects",
      saying("HTTP/1.1 302 x\r\nlocation: /\r\n\r\n"),
      "the proxy answered 302 and did not connect",
    ],
    ["hangs", { onRequest: () => {} }, "did not connect in time"],
    [
      "closes",
      { onRequest: (socket) => socket.end() },
      "the proxy closed the connection without an answer to CONNECT",
    ],
    [
      "resets",
      { onRequest: (socket) => socket.resetAndDestroy() },
      "the proxy closed the connection without an answer to CONNECT",
    ],
    ["speaks something else", saying("220 ESMTP\r\n\r\n"), "does not answer as an HTTP proxy does"],
    ["never ends its answer", saying(`HTTP/1.1 200 x\r\nx: ${"y".repeat(20_000)}`), "has no end"],
    [
      "sends something of its own",
      saying("HTTP/1.1 200 x\r\n\r\nHTTP/1.1 200 forged\r\n\r\n"),
      "the proxy sent something of its own into the tunnel",
    ],
    [
      "closes right after it has connected",
      { onRequest: (socket) => socket.end("HTTP/1.1 200 x\r\n\r\n") },
      "the proxy, or the receiver behind it, closed the connection without an answer",
    ],
  ];

  test.each(cases)("%s", async (_what, options, detail) => {
    const proxy = await receiver(options);
    const result = await through(proxy.port, { timeoutMs: 300 })("https://hooks.example.com/");
    expect(result).toMatchObject({ status: null, error: "proxy_failed", meaning: { kind: "failed" } });
    expect(result.detail).toContain(detail);
    await until("no connection is left", () => proxy.sockets.size === 0);
    expect(proxy.requests).toEqual([
      "CONNECT hooks.example.com:443 HTTP/1.1\r\nHost: hooks.example.com:443\r\n\r\n",
    ]);
  });

  test("and one that cannot be found", async () => {
    const send = testSender({
      proxy: "http://proxy.test:3128",
      resolve: () => Promise.reject(Object.assign(new Error("x"), { code: "ENOTFOUND" })),
    });
    expect(await send("https://hooks.example.com/")).toMatchObject({
      error: "proxy_failed",
      detail: "the proxy's name: there is no such name as proxy.test, or it has no address",
    });
  });

  test("is told from a receiver behind it that does", async () => {
    const passesOn = (to: number) => (socket: Socket) => {
      const onward = connect(to, "127.0.0.1", () => {
        socket.write("HTTP/1.1 200 x\r\n\r\n");
        socket.pipe(onward).pipe(socket);
      });
      onward.on("error", () => {});
    };
    const silent = await receiver({ onConnection: () => {} });
    const proxy = await receiver({ onRequest: (socket) => passesOn(silent.port)(socket) });
    expect(await through(proxy.port, { timeoutMs: 300 })("https://hooks.example.com/")).toMatchObject({
      error: "timeout",
      detail: "the receiver did not end the TLS handshake in time",
    });
    await until("the tunnel is closed", () => silent.sockets.size + proxy.sockets.size === 0);
  });

  test("in plain HTTP its own answer is told from one that it passes on", async () => {
    const answers = ["", "via: 1.1 proxy\r\n"];
    const proxy = await receiver({
      onRequest: (socket) => socket.write(`HTTP/1.1 502 no\r\n${answers.shift()}content-length: 0\r\n\r\n`),
    });
    const send = through(proxy.port);
    expect(await send("http://hooks.example.com/")).toMatchObject({ status: null, error: "proxy_failed" });
    expect(await send("http://hooks.example.com/")).toMatchObject({ status: 502, error: "http_status" });
    expect(proxy.requests[0]).toStartWith(
      "POST http://hooks.example.com/ HTTP/1.1\r\nHost: hooks.example.com\r\n",
    );
  });
});

describe("the guard before a proxy", () => {
  const forbidden = [
    "https://10.0.0.1/",
    "https://127.0.0.1/",
    "https://[::1]/",
    "https://0x7f.1/",
    "https://169.254.169.254/",
    "https://localhost/",
    "https://foo.localhost/",
  ];
  test.each(forbidden)("refuses %s, and the proxy hears nothing of it", async (url) => {
    const proxy = await receiver({ onRequest: (socket) => socket.write(ok()) });
    const send = through(proxy.port, { networks: [] });
    expect(await send(url)).toMatchObject({ error: "blocked_address" });
    expect(proxy.connections).toBe(0);
  });

  test("refuses a single label that leads inside, or nowhere", async () => {
    const proxy = await receiver();
    const inside = through(proxy.port, { networks: [], resolve: () => ["10.0.0.7"] });
    expect(await inside("https://intranet/")).toMatchObject({
      error: "blocked_address",
      detail: "intranet leads to 10.0.0.7, which is refused by the target guard",
    });
    const nowhere = through(proxy.port, { resolve: () => [] });
    expect(await nowhere("https://intranet./")).toMatchObject({ error: "dns_failed" });
    expect(proxy.connections).toBe(0);
  });

  test("lets other names pass unresolved", async () => {
    const asked: string[] = [];
    const resolve = (name: string) => {
      asked.push(name);
      return [];
    };
    const proxy = await receiver({ onRequest: (socket) => socket.end("HTTP/1.1 502 x\r\n\r\n") });
    expect(await through(proxy.port, { resolve })("https://inside.corp.example/")).toMatchObject({
      error: "proxy_failed",
    });
    expect(proxy.requests.length).toBe(1);
    expect(asked).toEqual([]);
  });

  test("lets what is opened pass", async () => {
    const proxy = await receiver({ onRequest: (socket) => socket.end("HTTP/1.1 502 x\r\n\r\n") });
    const send = through(proxy.port, { networks: ["10.0.0.0/8"], resolve: () => ["10.0.0.7"] });
    for (const url of ["https://10.0.0.7/", "https://intranet/"]) {
      expect(await send(url)).toMatchObject({ error: "proxy_failed" });
    }
    expect(proxy.requests.length).toBe(2);
  });
});
