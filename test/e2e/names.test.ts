import { afterEach, expect, test } from "bun:test";
import { writeFileSync } from "node:fs";
import { join } from "node:path";
import { connectScanner, scan, until } from "../support/daemon.ts";
import { type DnsAnswer, startDnsServer } from "../support/dns-server.ts";
import { atEnd, cleanUp, emptyDir, receive, register, startBinary } from "../support/e2e.ts";
import { canMount } from "../support/faults.ts";

afterEach(cleanUp);

/** A name server where resolv.conf can name it; its port is the one that resolv.conf cannot say. */
async function serveNames(address: string, answer: (name: string) => DnsAnswer) {
  const server = await startDnsServer((name, type) => (type === "A" ? answer(name) : []), {
    address,
    port: 53,
  });
  atEnd(() => server.stop());
  return server;
}

/** A daemon that sees a resolv.conf of its own, which may be written again. */
async function startWith(address: string) {
  const dir = emptyDir();
  const file = join(dir, "resolv.conf");
  const point = (server: string) => writeFileSync(file, `nameserver ${server}\n`);
  point(address);
  const mount = `mount --bind ${file} /etc/resolv.conf && exec "$@"`;
  const through = ["unshare", "--mount", "sh", "-c", mount, "sh"];
  return { daemon: await startBinary({ dir, through, args: ["--max-webhooks", "50"] }), point };
}

const portOf = (url: string) => new URL(url).port;

test.if(canMount)(
  "webhooks whose name servers are silent slow neither another webhook nor the acks",
  async () => {
    const names = await serveNames("127.0.0.98", (name) =>
      name.startsWith("silent") ? "silence" : ["127.0.0.1"],
    );
    const { daemon } = await startWith("127.0.0.98");
    const receiver = receive();
    const port = portOf(receiver.url);
    await register(daemon, `http://healthy.test:${port}/`);
    for (let i = 0; i < 30; i += 1) await register(daemon, `http://silent-${i}.test:${port}/`);
    const scanner = await connectScanner(daemon.socket);
    atEnd(() => scanner.close());
    await scanner.send(scan());
    await until("the silent names are asked for", () =>
      names.questions.some((question) => question.includes("silent")),
    );
    // Long enough that the healthy name is asked for again each time.
    for (let sent = 2; sent <= 4; sent += 1) {
      await Bun.sleep(1_100);
      const began = performance.now();
      expect(await scanner.send(scan())).toMatchObject([{ ok: true, deliveries: 31 }]);
      expect(performance.now() - began).toBeLessThan(500);
      await until("the healthy webhook has it", () => receiver.received.length >= sent, 1_000);
    }
    expect(names.questions.filter((question) => question === "A healthy.test").length).toBeGreaterThan(2);
  },
  20_000,
);

test.if(canMount)(
  "a daemon learns of other name servers while it runs",
  async () => {
    const first = await serveNames("127.0.0.96", () => "nxdomain");
    await serveNames("127.0.0.97", () => ["127.0.0.1"]);
    const { daemon, point } = await startWith("127.0.0.96");
    const receiver = receive();
    const { id } = await register(daemon, `http://late.test:${portOf(receiver.url)}/`);
    const testIt = async () => (await daemon.api("POST", `/v1/webhooks/${id}/test`)).body;
    expect(await testIt()).toMatchObject({ success: false });
    expect(first.questions).toContain("A late.test");
    point("127.0.0.97");
    await Bun.sleep(2_100);
    expect(await testIt()).toMatchObject({ success: true });
    expect(receiver.received).toHaveLength(1);
  },
  20_000,
);
