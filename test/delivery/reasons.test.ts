import { afterEach, describe, expect, test } from "bun:test";
import { tlsReason } from "../../src/delivery/http/reasons.ts";
import {
  type Certificate,
  createAuthority,
  selfSignedLeaf,
  withoutOpenssl,
} from "../support/certificates.ts";
import { startDnsServer } from "../support/dns-server.ts";
import { atEnd, cleanUp, emptyDir } from "../support/e2e.ts";
import { ok, type RawReceiverOptions, startRawReceiver } from "../support/raw-receiver.ts";
import { type TestSenderOptions, testSender } from "../support/senders.ts";

afterEach(cleanUp);

async function why(
  url: string,
  options?: TestSenderOptions,
): Promise<{ error: string | null; detail: string | null }> {
  const { error, detail } = await testSender(options)(url);
  return { error, detail };
}

const named = { resolve: () => ["127.0.0.1"] };

async function receiver(options: RawReceiverOptions = {}): Promise<number> {
  const started = await startRawReceiver(options);
  atEnd(started.stop);
  return started.port;
}

describe.skipIf(withoutOpenssl)("a TLS handshake that fails says why:", () => {
  const authority = createAuthority(emptyDir());
  /** Of what a certificate is, its files are gone by the time of the tests. */
  const pem = ({ cert, key }: Certificate) => ({ cert, key });
  const good = pem(authority.issue({ names: ["DNS:hooks.test"] }));
  const other = createAuthority(emptyDir(), "other");
  const wanted = { ...good, requestCert: true, rejectUnauthorized: true, ca: [other.cert] };
  const cases: [string, RawReceiverOptions, string][] = [
    [
      "an expired certificate",
      { tls: pem(authority.issue({ names: ["DNS:hooks.test"], expired: true })) },
      "certificate has expired",
    ],
    [
      "another name",
      { tls: pem(authority.issue({ names: ["DNS:other.example"] })) },
      "certificate is for other.example",
    ],
    ["another authority", { tls: pem(other.issue({ names: ["DNS:hooks.test"] })) }, "issuer is unknown"],
    ["self-signed", { tls: pem(selfSignedLeaf(emptyDir(), ["DNS:hooks.test"])) }, "issuer is unknown"],
    ["a client certificate wanted", { tls: wanted }, "the receiver wants a client certificate"],
    [
      "a client certificate wanted with TLS 1.2",
      { tls: { ...wanted, maxVersion: "TLSv1.2" } },
      "the receiver wants a client certificate",
    ],
    [
      "TLS 1.1 only",
      { tls: { ...good, minVersion: "TLSv1", maxVersion: "TLSv1.1" } },
      "the receiver speaks TLS 1.1 or older only; TLS 1.2 is the oldest that is accepted",
    ],
    [
      "plain HTTP on the port",
      { onConnection: (socket) => socket.once("data", () => socket.write(ok())) },
      "the receiver speaks no TLS on this port, perhaps plain HTTP",
    ],
    [
      "a connection closed",
      { onConnection: (socket) => socket.once("data", () => socket.end()) },
      "the receiver closed the connection during the TLS handshake",
    ],
    [
      "a connection reset",
      { onConnection: (socket) => socket.once("data", () => socket.resetAndDestroy()) },
      "the receiver closed the connection during the TLS handshake",
    ],
  ];

  test.each(cases)("%s", async (_what, options, detail) => {
    const port = await receiver(options);
    const answer = await why(`https://hooks.test:${port}/`, { ...named, ca: [authority.cert] });
    expect(answer).toEqual({ error: "tls_failed", detail });
  });

  test("a handshake that hangs", async () => {
    const port = await receiver({ onConnection: () => {} });
    const answer = await why(`https://hooks.test:${port}/`, { ...named, timeoutMs: 200 });
    expect(answer).toEqual({
      error: "timeout",
      detail: "the receiver did not end the TLS handshake in time",
    });
  });
});

test("names in a certificate come into it as names of hosts, and few of them", () => {
  const altName = (altNames: string | undefined) =>
    tlsReason({ code: "ERR_TLS_CERT_ALTNAME_INVALID", message: "" }, { host: "x.test", altNames });
  expect(altName("DNS:*.a.test, IP Address:192.0.2.1")).toBe("certificate is for *.a.test, 192.0.2.1");
  expect(altName("DNS:a.test, DNS:b.test, DNS:c.test, DNS:d.test, DNS:e.test")).toBe(
    "certificate is for a.test, b.test, c.test and 2 more",
  );
  expect(altName('DNS:"\x1b[2J\r\n", URI:http://x/')).toBe("certificate is for no name at all");
  expect(altName(undefined)).toBe("certificate is for no name at all");
  expect(altName(`DNS:${"x".repeat(5000)}`).length).toBeLessThan(150);
});

test("what is rare is said in BoringSSL's own word, and what is no such word is not said", () => {
  const peer = { host: "x.test", altNames: undefined };
  const reason = (message: string, code?: string) => tlsReason({ message, ...(code && { code }) }, peer);
  expect(reason("error:10000438:SSL routines:OPENSSL_internal:TLSV1_ALERT_INTERNAL_ERROR", "EPROTO")).toBe(
    "TLS failed: tlsv1 alert internal error",
  );
  expect(reason("bad", "CERT_REVOKED")).toBe("TLS failed: cert revoked");
  expect(reason("\x1b[2J", "\r\n")).toBe("TLS failed");
});

describe("what came to nothing says why:", () => {
  test("a literal address that is refused", async () => {
    expect(await why("http://10.1.2.3/")).toEqual({
      error: "blocked_address",
      detail: "10.1.2.3 is refused by the target guard",
    });
  });

  test("a name that leads to one", async () => {
    const answer = await why("http://hooks.test/", { resolve: () => ["127.0.0.1", "10.1.2.3"] });
    expect(answer).toEqual({
      error: "blocked_address",
      detail: "hooks.test leads to 10.1.2.3, which is refused by the target guard",
    });
  });

  test.each([
    ["nxdomain", "there is no such name as gone.test, or it has no address"],
    [[], "there is no such name as gone.test, or it has no address"],
  ] as const)("a name that is answered with %p", async (answered, detail) => {
    const dns = await startDnsServer(() => answered);
    atEnd(dns.stop);
    const resolve = (name: string) => dns.resolve(name).catch(() => []);
    expect(await why("http://gone.test/", { resolve })).toEqual({ error: "dns_failed", detail });
  });

  test.each([
    ["DNS_ENOTFOUND", "there is no such name as gone.test, or it has no address"],
    ["DNS_ESERVFAIL", "the name servers gave no answer for gone.test (ESERVFAIL)"],
    ["", "the name servers gave no answer for gone.test"],
  ])("a look-up that fails with %p", async (code, detail) => {
    const resolve = () => Promise.reject(Object.assign(new Error("x"), { code }));
    expect(await why("http://gone.test/", { resolve })).toEqual({ error: "dns_failed", detail });
  });

  test("a name server that is silent", async () => {
    const answer = await why("http://slow.test/", { resolve: () => new Promise(() => {}), timeoutMs: 100 });
    expect(answer).toEqual({ error: "timeout", detail: "no name server answered for slow.test in time" });
  });

  test("a port where nobody listens", async () => {
    const started = await startRawReceiver();
    await started.stop();
    expect(await why(`http://127.0.0.1:${started.port}/`)).toEqual({
      error: "connection_failed",
      detail: `127.0.0.1 port ${started.port} refused the connection`,
    });
  });

  const receivers: [string, RawReceiverOptions, string, string][] = [
    ["silence", { onRequest: () => {} }, "timeout", "the receiver gave no answer in time"],
    [
      "a connection closed without a word",
      { onRequest: (socket) => socket.end() },
      "connection_failed",
      "the receiver closed the connection without an answer",
    ],
    [
      "one closed amid the head",
      { onRequest: (socket) => socket.end("HTTP/1.1 2") },
      "invalid_response",
      "the receiver closed the connection amid its answer",
    ],
    [
      "something else than HTTP",
      { onRequest: (socket) => socket.write("220 ESMTP\r\n\r\n") },
      "invalid_response",
      "what the receiver sent is no HTTP/1.1 response",
    ],
  ];
  test.each(receivers)("%s", async (_what, options, error, detail) => {
    const port = await receiver(options);
    expect(await why(`http://127.0.0.1:${port}/`, { timeoutMs: 300 })).toMatchObject({ error, detail });
  });
});
