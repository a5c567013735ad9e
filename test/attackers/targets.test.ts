import { afterAll, afterEach, beforeAll, describe, expect, test } from "bun:test";
import { mkdirSync } from "node:fs";
import { networkInterfaces } from "node:os";
import { join } from "node:path";
import { rootCertificates } from "node:tls";
import { Command } from "commander";
import { serveOptions } from "../../src/config/options.ts";
import { toConfig } from "../../src/config/resolve.ts";
import { createDaemon } from "../../src/daemon.ts";
import { createTransport } from "../../src/delivery/http/transport.ts";
import { type Lookup, type Resolve, shareLookups } from "../../src/delivery/resolver.ts";
import { createSender } from "../../src/delivery/send.ts";
import { createTargetGuard, parseCidr } from "../../src/delivery/target-guard.ts";
import {
  type Authority,
  type Certificate,
  createAuthority,
  selfSignedLeaf,
  withoutOpenssl,
} from "../support/certificates.ts";
import {
  connectScanner,
  LOOPBACK,
  newDir,
  type RunningDaemon,
  removeDir,
  request,
  scan,
  startDaemon,
  until,
} from "../support/daemon.ts";
import { type DnsServer, startDnsServer } from "../support/dns-server.ts";
import { atEnd, cleanUp, emptyDir } from "../support/e2e.ts";
import { ok, type RawReceiver, type RawReceiverOptions, startRawReceiver } from "../support/raw-receiver.ts";
import { silentLogger } from "../support/silent-logger.ts";

const SECRET = "0".repeat(64);

async function receiver(options?: RawReceiverOptions): Promise<RawReceiver> {
  const started = await startRawReceiver(options);
  atEnd(started.stop);
  return started;
}

/** Every way that a URL can write an address of this machine, and some that it cannot. */
const LOCAL_SPELLINGS = [
  ...["127.0.0.1", "127.0.0.1.", "127.1", "127.1.", "127.0.1", "127.0.0.3", "127.255.255.255", "2130706433"],
  ...["0x7f000001", "0x7F.1", "0x7f.0x0.0x0.0x1", "0177.0.0.1", "017700000001", "0177.0x0.1", "00000177.1"],
  ...[
    "0.0.0.0",
    "0",
    "0x0",
    "0.1",
    "１２７.0.0.1",
    "127。0。0。1",
    "①②⑦.0.0.1",
    "%31%32%37.0.0.1",
    "127%2e0.0.1",
  ],
  ...["[::1]", "[0:0:0:0:0:0:0:1]", "[0000::0001]", "[::]", "[::0.0.0.1]", "[::127.0.0.1]", "[::7f00:1]"],
  ...[
    "[::ffff:127.0.0.1]",
    "[::FFFF:7f00:1]",
    "[::ffff:0:127.0.0.1]",
    "[64:ff9b::127.0.0.1]",
    "[2002:7f00:1::]",
  ],
  ...["[fe80::1]", "[::1%25lo]", "[::1%lo]", "[fe80::1%25eth0]"],
  ...["localhost", "LocalHost", "localhost.", "a.localhost", "a.b.LOCALHOST.", "ⓛⓞⓒⓐⓛⓗⓞⓢⓣ", "local%68ost"],
];

/** Answers of a name server that nothing may be connected to, not even to the allowed addresses among them. */
const FORBIDDEN_ANSWERS: Readonly<Record<string, readonly string[]>> = {
  loopback: ["127.0.0.1"],
  "other-loopback": ["127.9.9.9"],
  any: ["0.0.0.0"],
  loopback6: ["::1"],
  any6: ["::"],
  mapped: ["::ffff:127.0.0.1"],
  nat64: ["64:ff9b::7f00:1"],
  "6to4": ["2002:7f00:1::"],
  private: ["10.0.0.1"],
  metadata: ["169.254.169.254"],
  metadata6: ["fd00:ec2::254"],
  azure: ["168.63.129.16"],
  carrier: ["100.64.0.1"],
  multicast: ["224.0.0.1"],
  broadcast: ["255.255.255.255"],
  "link-local": ["fe80::1"],
  "mixed-last": ["127.0.0.2", "127.0.0.2", "127.0.0.1"],
  "mixed-first": ["127.0.0.1", "127.0.0.2"],
  "mixed-families": ["127.0.0.2", "::1"],
  "mixed-families-too": ["::ffff:127.0.0.2", "127.0.0.1"],
};

/** Stands for the public, so that no test sends anything beyond this machine; all else of it is forbidden. */
const PUBLIC = "127.0.0.2/32";

describe("a daemon that may reach the public only", () => {
  let dns: DnsServer;
  let listeners: RawReceiver[];
  let dir: string;
  let stop: () => Promise<unknown>;
  let api: RunningDaemon["api"];
  let socket: string;
  let guarded: (host: string) => string;

  beforeAll(async () => {
    dir = newDir();
    dns = await startDnsServer((name) => FORBIDDEN_ANSWERS[name.replace(/\.test$/, "")] ?? "nxdomain");
    const first = await startRawReceiver({ host: "0.0.0.0" });
    listeners = [first, await startRawReceiver({ host: "::1", port: first.port })];
    guarded = (host) => `http://${host}:${first.port}/hook`;
    const daemon = await createDaemon({ config: configure(dir), log: silentLogger, resolve: dns.resolve });
    const { id } = await daemon.store.organizations.create({ name: "ours", plan: "enterprise" });
    const key = { organizationId: id, name: "k", rateLimitPerMinute: 1_000_000, expiresAt: null };
    const { rawKey } = await daemon.store.apiKeys.create(key);
    const started = await daemon.start();
    ({ socket } = started);
    stop = daemon.stop;
    api = (method, path, body) => request(started.url, rawKey, method, path, body);
  });

  afterAll(async () => {
    await stop?.();
    for (const listener of listeners ?? []) await listener.stop();
    dns?.stop();
    removeDir(dir);
  });

  const connections = () => listeners.map((listener) => listener.connections);

  test.each(LOCAL_SPELLINGS)("takes no webhook at %s", async (host) => {
    for (const url of [guarded(host), guarded(host).replace("http:", "https:"), `https://${host}/`]) {
      const { status, body } = await api("POST", "/v1/webhooks", { url });
      expect({ status, code: body.error?.code }).toEqual({ status: 400, code: "VALIDATION_ERROR" });
      expect(body.error.message).toStartWith("url must ");
    }
  });

  test("takes no webhook at an address of one of its own interfaces", async () => {
    const own = Object.values(networkInterfaces()).flatMap((list) => list ?? []);
    expect(own.length).toBeGreaterThan(0);
    for (const { address, family } of own) {
      const host = family === "IPv6" ? `[${address}]` : address;
      expect((await api("POST", "/v1/webhooks", { url: guarded(host) })).status).toBe(400);
    }
  });

  test("changes no webhook to such an address", async () => {
    const { body } = await api("POST", "/v1/webhooks", { url: guarded("none.test"), events: ["green_tier"] });
    const { id, url } = body.webhook;
    for (const method of ["PUT", "PATCH"]) {
      expect((await api(method, `/v1/webhooks/${id}`, { url: guarded("127.1") })).status).toBe(400);
    }
    expect((await api("GET", `/v1/webhooks/${id}`)).body.webhook.url).toBe(url);
  });

  test("connects to no name that leads to such an address, alone or among public ones", async () => {
    const webhooks = new Map<string, string>();
    for (const name of [...Object.keys(FORBIDDEN_ANSWERS), "unknown"]) {
      for (const host of [`${name}.test`, `${name}.TEST.`]) {
        const { status, body } = await api("POST", "/v1/webhooks", { url: guarded(host) });
        expect(status).toBe(201);
        webhooks.set(host, body.webhook.id);
      }
    }
    const scanner = await connectScanner(socket);
    expect(await scanner.send(scan())).toMatchObject([{ ok: true, deliveries: webhooks.size }]);
    scanner.close();
    for (const [host, id] of webhooks) {
      const error = host.startsWith("unknown") ? "dns_failed" : "blocked_address";
      await until(`the delivery to ${host} ends`, async () => (await lastError(id)) !== null);
      expect({ host, error: await lastError(id) }).toEqual({ host, error });
    }
    expect(connections()).toEqual([0, 0]);
  });

  const lastError = async (webhookId: string): Promise<string | null> =>
    (await api("GET", `/v1/webhooks/${webhookId}/deliveries`)).body.deliveries[0].last_error;

  test("says of a test to such a name that its address is not allowed", async () => {
    const { body } = await api("POST", "/v1/webhooks", {
      url: guarded("loopback.test"),
      events: ["green_tier"],
    });
    const answer = await api("POST", `/v1/webhooks/${body.webhook.id}/test`);
    expect(answer).toMatchObject({
      status: 200,
      body: { success: false, error: "Target address is not allowed" },
    });
  });

  test("has connected to nothing here at all", () => {
    expect(connections()).toEqual([0, 0]);
    expect(dns.questions.some((question) => question.includes("localhost"))).toBe(false);
  });

  test("would have been seen if it had", async () => {
    await Promise.all(["127.0.0.1", "::1"].map((host) => connectOnce(host, listeners[0]?.port ?? 0)));
    expect(connections()).toEqual([1, 1]);
  });
});

async function connectOnce(hostname: string, port: number): Promise<void> {
  const socket = await Bun.connect({ hostname, port, socket: { data() {} } });
  await Bun.sleep(20);
  socket.terminate();
}

function configure(dir: string) {
  const dataDir = join(dir, "data");
  mkdirSync(dataDir);
  const command = new Command();
  for (const option of serveOptions()) command.addOption(option);
  const args = ["--data-dir", dataDir, "--port", "0", "--allow-http", "--allow-networks", PUBLIC];
  command.parse([...args, "--retry-attempts", "1", "--request-timeout", "3s"], { from: "user" });
  return toConfig(command.opts(), { environment: {} });
}

/** A sender that may reach the public only. */
function senderOf(
  options: { resolve?: Resolve; ca?: readonly string[]; networks?: string[]; allowHttp?: boolean } = {},
) {
  const transport = createTransport({ ca: options.ca ?? null });
  atEnd(transport.close);
  const sender = createSender({
    guard: createTargetGuard({ allowNetworks: (options.networks ?? [PUBLIC]).map(parseCidr) }),
    resolve: options.resolve ?? (async () => []),
    transport,
    clock: { wall: Date.now, schedule: Date.now },
    version: "0",
    source: "host.test",
    timeoutMs: 2_000,
    maxRetryAfterMs: 0,
    allowHttp: options.allowHttp ?? true,
    onFault: (error) => expect(error).toBeUndefined(),
  });
  return async (url: string): Promise<{ status: number | null; error: string | null }> => {
    const target = sender.createTarget({ url, format: "json", organizationId: null, secrets: [SECRET] });
    const { status, error } = await sender.send(target, { eventId: "e", body: "{}" });
    return { status, error };
  };
}

const blocked = { status: null, error: "blocked_address" };
const delivered = { status: 200, error: null };
const tlsFailed = { status: null, error: "tls_failed" };

async function nameServer(answer: Parameters<typeof startDnsServer>[0]): Promise<DnsServer> {
  const dns = await startDnsServer(answer);
  atEnd(dns.stop);
  return dns;
}

describe("an attempt", () => {
  afterEach(cleanUp);

  test("to a spelling that came past the API is refused all the same", async () => {
    const listener = await receiver({ host: "0.0.0.0" });
    const listener6 = await receiver({ host: "::1", port: listener.port });
    const send = senderOf();
    for (const host of LOCAL_SPELLINGS) {
      const url = `http://${host}:${listener.port}/`;
      if (!URL.canParse(url)) continue;
      expect({ host, ...(await send(url)) }).toEqual({ host, ...blocked });
    }
    expect([listener.connections, listener6.connections]).toEqual([0, 0]);
  });

  test("to an opened network reaches what it names and nothing beside it", async () => {
    const open = await receiver({ host: "127.0.0.2" });
    const closed = await receiver({ host: "127.0.0.3", port: open.port });
    const send = senderOf();
    expect(await send(`http://127.0.0.2:${open.port}/`)).toEqual(delivered);
    expect(await send(`http://127.0.0.3:${open.port}/`)).toEqual(blocked);
    expect(await send(`http://[::ffff:127.0.0.2]:${open.port}/`)).toEqual(delivered);
    expect([open.requests.length, closed.connections]).toEqual([2, 0]);
  });

  test("to an http URL is refused when only https is allowed", async () => {
    const listener = await receiver({ host: "127.0.0.2" });
    expect(await senderOf({ allowHttp: false })(`http://127.0.0.2:${listener.port}/`)).toEqual(blocked);
    expect(listener.connections).toBe(0);
  });

  test("asks for a name once and goes to the address that was checked, whatever the name has become", async () => {
    const honest = await receiver({ host: "127.0.0.2" });
    const inside = await receiver({ host: "127.0.0.1", port: honest.port });
    const asked = { A: 0, AAAA: 0 };
    const dns = await nameServer((_, type) => {
      asked[type] += 1;
      if (type === "AAAA") return [];
      return asked.A === 1 ? ["127.0.0.2"] : ["127.0.0.1"];
    });
    const send = senderOf({ resolve: dns.resolve });
    const url = `http://rebind.test:${honest.port}/`;
    expect(await send(url)).toEqual(delivered);
    expect(asked).toEqual({ A: 1, AAAA: 1 });
    expect(honest.requests[0]).toContain(`\r\nHost: rebind.test:${honest.port}\r\n`);
    // The connection to the address that was good is still open, and is not used for what the name says now.
    expect(await send(url)).toEqual(blocked);
    expect([honest.connections, honest.requests.length, inside.connections]).toEqual([1, 1, 0]);
  });

  test("among many at once shares an answer, and a later one asks again", async () => {
    const honest = await receiver({ host: "127.0.0.2" });
    const inside = await receiver({ host: "127.0.0.1", port: honest.port });
    let answer = ["127.0.0.2"];
    const dns = await nameServer((_, type) => (type === "A" ? answer : []));
    const send = senderOf({ resolve: shareLookups(dns.resolve, 100) });
    const url = `http://rebind.test:${honest.port}/`;
    const outcomes = await Promise.all(Array.from({ length: 20 }, () => send(url)));
    expect(outcomes).toEqual(Array(20).fill(delivered));
    expect(dns.questions).toEqual(["A rebind.test", "AAAA rebind.test"]);
    answer = ["127.0.0.2", "127.0.0.1"];
    await Bun.sleep(150);
    expect(await send(url)).toEqual(blocked);
    expect(inside.connections).toBe(0);
  });

  test("ends by its deadline when no name server answers", async () => {
    const send = senderOf({ resolve: () => new Promise(() => {}) });
    const start = performance.now();
    expect(await send("http://silent.test/")).toEqual({ status: null, error: "timeout" });
    expect(performance.now() - start).toBeLessThan(2_500);
    const dns = await nameServer(() => "silence");
    expect(await senderOf({ resolve: dns.resolve })("http://silent.test/")).toEqual({
      status: null,
      error: "dns_failed",
    });
  });

  test.each([301, 302, 303, 307, 308])("follows no redirect (%d) to where it may not go", async (status) => {
    const inside = await receiver({ host: "127.0.0.1" });
    for (const location of [
      "http://169.254.169.254/latest/meta-data/",
      `http://127.0.0.1:${inside.port}/`,
      "//[::1]/",
    ]) {
      const answer = `HTTP/1.1 ${status} x\r\nlocation: ${location}\r\nrefresh: 0; url=${location}\r\n`;
      const outside = await receiver({
        host: "127.0.0.2",
        onRequest: (socket) => socket.write(`${answer}content-length: 0\r\n\r\n`),
      });
      const outcome = await senderOf()(`http://127.0.0.2:${outside.port}/`);
      expect(outcome).toEqual({ status, error: "http_status" });
      expect(outside.requests.length).toBe(1);
    }
    expect(inside.connections).toBe(0);
  });
});

describe.skipIf(withoutOpenssl)("a certificate", () => {
  let dir: string;
  let authority: Authority;
  let good: Certificate;

  beforeAll(() => {
    dir = newDir();
    authority = createAuthority(dir);
    good = authority.issue({ names: ["DNS:hooks.test", "IP:127.0.0.2"] });
  });

  afterAll(() => removeDir(dir));
  afterEach(cleanUp);

  const toLocal: Lookup = async () => ["127.0.0.2"];
  const trusting = (ca: readonly string[] = [authority.cert]) => senderOf({ resolve: toLocal, ca });
  const serve = (tls: Certificate) => receiver({ host: "127.0.0.2", tls });

  test("that holds is taken, under the name and under the address", async () => {
    const server = await serve(good);
    for (const host of ["hooks.test", "HOOKS.test", "hooks.test.", "127.0.0.2"]) {
      expect({ host, ...(await trusting()(`https://${host}:${server.port}/`)) }).toEqual({
        host,
        ...delivered,
      });
    }
    expect(server.serverNames).toEqual(["hooks.test", "hooks.test", "hooks.test", false]);
  });

  test("of an IPv6 address is taken", async () => {
    const server = await receiver({ host: "::1", tls: authority.issue({ names: ["IP:::1"] }) });
    const send = senderOf({ networks: ["::1/128"], ca: [authority.cert] });
    expect(await send(`https://[::1]:${server.port}/`)).toEqual(delivered);
    expect(server.serverNames).toEqual([false]);
  });

  test.each<[string, string, () => Certificate]>([
    ["expired", "hooks.test", () => authority.issue({ names: ["DNS:hooks.test"], expired: true })],
    ["self-signed", "hooks.test", () => selfSignedLeaf(dir, ["DNS:hooks.test"])],
    [
      "of an unknown authority",
      "hooks.test",
      () => createAuthority(dir, "other").issue({ names: ["DNS:hooks.test"] }),
    ],
    [
      "of an unknown authority with the same name",
      "hooks.test",
      () => impostor().issue({ names: ["DNS:hooks.test"] }),
    ],
    ["for another name", "hooks.test", () => authority.issue({ names: ["DNS:other.test"] })],
    [
      "for a name below",
      "hooks.test",
      () => authority.issue({ names: ["DNS:a.hooks.test", "DNS:*.hooks.test"] }),
    ],
    ["for a whole top level", "hooks.test", () => authority.issue({ names: ["DNS:*.test.", "DNS:*"] })],
    [
      "for a name where the URL has an address",
      "127.0.0.2",
      () => authority.issue({ names: ["DNS:hooks.test"] }),
    ],
    ["for another address", "127.0.0.2", () => authority.issue({ names: ["IP:127.0.0.3"] })],
    ["for an address written as a name", "127.0.0.2", () => authority.issue({ names: ["DNS:127.0.0.2"] })],
    [
      "for the address where the URL has a name",
      "hooks.test",
      () => authority.issue({ names: ["IP:127.0.0.2"] }),
    ],
  ])("%s fails, and nothing is sent", async (_what, host, make) => {
    const server = await serve(make());
    expect(await trusting()(`https://${host}:${server.port}/`)).toEqual(tlsFailed);
    expect(server.connections).toBe(1);
    expect([server.bytes, server.requests.length]).toEqual([0, 0]);
  });

  /** Another key under the subject of the one that is trusted. */
  function impostor(): Authority {
    return createAuthority(emptyDir(), "test-root");
  }

  test("of a private authority fails without it, and with the public ones alone", async () => {
    const server = await serve(good);
    const url = `https://hooks.test:${server.port}/`;
    expect(await senderOf({ resolve: toLocal })(url)).toEqual(tlsFailed);
    expect(await trusting(rootCertificates)(url)).toEqual(tlsFailed);
    expect(await trusting([...rootCertificates, authority.cert])(url)).toEqual(delivered);
    expect(server.requests.length).toBe(1);
  });

  test("that fails is not tried again in the clear", async () => {
    const plain = await receiver({ host: "127.0.0.2", onConnection: (socket) => socket.end(ok()) });
    expect(await trusting()(`https://hooks.test:${plain.port}/`)).toEqual(tlsFailed);
    expect([plain.connections, plain.requests.length]).toEqual([1, 0]);
  });

  test("of ours that the receiver wants and does not get is a failure of TLS", async () => {
    const wanting = { ...good, requestCert: true, rejectUnauthorized: true, ca: authority.cert };
    const server = await receiver({ host: "127.0.0.2", tls: wanting });
    expect(await trusting()(`https://hooks.test:${server.port}/`)).toEqual(tlsFailed);
    expect(server.requests.length).toBe(0);
  });
});

test.skipIf(withoutOpenssl)(
  "an environment that would weaken or divert requests changes nothing",
  async () => {
    const dir = emptyDir();
    const authority = createAuthority(dir);
    const stranger = createAuthority(dir, "stranger");
    const proxy = await receiver();
    const plain = await receiver();
    const secure = (tls: Certificate) => receiver({ tls });
    const good = await secure(authority.issue({ names: ["IP:127.0.0.1"] }));
    const bad = {
      expired: await secure(authority.issue({ names: ["IP:127.0.0.1"], expired: true })),
      wrong: await secure(authority.issue({ names: ["IP:127.0.0.9"] })),
      own: await secure(selfSignedLeaf(dir, ["IP:127.0.0.1"])),
      stranger: await secure(stranger.issue({ names: ["IP:127.0.0.1"] })),
    };
    const names = ["HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY", "http_proxy", "https_proxy", "all_proxy"];
    const proxies = Object.fromEntries(names.map((name) => [name, `http://127.0.0.1:${proxy.port}`]));
    const daemon = await startDaemon({
      dir,
      args: [
        ...LOOPBACK,
        "--ca-file",
        authority.certFile,
        "--retry-attempts",
        "1",
        "--request-timeout",
        "2s",
      ],
      env: { ...proxies, NO_PROXY: "", NODE_TLS_REJECT_UNAUTHORIZED: "0" },
    });
    atEnd(() => daemon.stop("SIGKILL"));
    const register = async (url: string): Promise<string> =>
      (await daemon.api("POST", "/v1/webhooks", { url })).body.webhook.id;
    const webhooks = {
      plain: await register(`http://127.0.0.1:${plain.port}/`),
      good: await register(`https://127.0.0.1:${good.port}/`),
      expired: await register(`https://127.0.0.1:${bad.expired.port}/`),
      wrong: await register(`https://127.0.0.1:${bad.wrong.port}/`),
      own: await register(`https://127.0.0.1:${bad.own.port}/`),
      stranger: await register(`https://127.0.0.1:${bad.stranger.port}/`),
    };
    const scanner = await connectScanner(daemon.socket);
    await scanner.send(scan());
    scanner.close();
    const outcomes = () => daemon.log.filter(({ msg }) => msg === "attempt made");
    await until("each attempt is made", () => outcomes().length === Object.keys(webhooks).length);
    const errors = Object.fromEntries(
      Object.entries(webhooks).map(([name, id]) => [
        name,
        outcomes().find((line) => line["webhook_id"] === id)?.["error"],
      ]),
    );
    expect(errors).toEqual({
      plain: null,
      good: null,
      expired: "tls_failed",
      wrong: "tls_failed",
      own: "tls_failed",
      stranger: "tls_failed",
    });
    expect(proxy.connections).toBe(0);
    expect(Object.values(bad).map(({ requests }) => requests.length)).toEqual([0, 0, 0, 0]);
    await cleanUp();
  },
  15_000,
);
