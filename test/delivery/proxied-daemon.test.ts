import { afterEach, describe, expect, test } from "bun:test";
import { connectScanner, LOOPBACK, runCommand, scan, startDaemon, until } from "../support/daemon.ts";
import { atEnd, cleanUp, emptyDir, linesOf, receive } from "../support/e2e.ts";
import { startRawReceiver } from "../support/raw-receiver.ts";
import { startTinyproxy, withoutTinyproxy } from "../support/tinyproxy.ts";

afterEach(cleanUp);

const PASSWORD = "s3cr3tpassword";
const SECRETS = [PASSWORD, btoa(`user:${PASSWORD}`)];

describe.skipIf(withoutTinyproxy)("a daemon behind a proxy", () => {
  test("delivers, tests and notifies through it, and tells its password to nobody", async () => {
    const proxy = await startTinyproxy(`BasicAuth user ${PASSWORD}`);
    const receiver = receive();
    const daemon = await startDaemon({
      dir: emptyDir(),
      args: [...LOOPBACK, "--log-level", "debug"],
      env: { ARMORHOOKS_PROXY: `http://user:${PASSWORD}@127.0.0.1:${proxy.port}` },
    });
    atEnd(() => daemon.stop("SIGKILL"));
    const answers: unknown[] = [];
    const api = async (...request: Parameters<typeof daemon.api>) => {
      const { body } = await daemon.api(...request);
      answers.push(body);
      return body;
    };
    const { webhook } = await api("POST", "/v1/webhooks", { url: receiver.url });
    expect(await api("POST", `/v1/webhooks/${webhook.id}/test`)).toEqual({ success: true, status: 200 });
    const scanner = await connectScanner(daemon.socket);
    atEnd(() => scanner.close());
    await scanner.send(scan());
    await until("it is delivered", () => linesOf(daemon, "delivery finished").length === 1);
    expect(receiver.received.length).toBe(2);
    expect(proxy.log().match(/POST http:\/\/127\.0\.0\.1:/g)?.length).toBe(2);

    await proxy.stop();
    await scanner.send(scan());
    await until("it has failed", () => linesOf(daemon, "attempt made").length === 2);
    const [{ id }] = (await api("GET", `/v1/webhooks/${webhook.id}/deliveries`)).deliveries;
    expect((await api("GET", `/v1/deliveries/${id}`)).delivery.attempts).toMatchObject([
      { error: "proxy_failed", detail: `the proxy 127.0.0.1 port ${proxy.port} refused the connection` },
    ]);
    expect(await api("POST", `/v1/webhooks/${webhook.id}/test`)).toEqual({
      success: false,
      error: "Connection failed or timed out",
    });
    const said = JSON.stringify([daemon.log, answers, receiver.received]);
    for (const secret of SECRETS) expect(said).not.toContain(secret);
  });

  test("is told by doctor what is wrong with it", async () => {
    const proxy = await startTinyproxy(`BasicAuth user ${PASSWORD}`);
    const check = async (credentials: string, port = proxy.port) => {
      const env = { ARMORHOOKS_PROXY: `http://${credentials}127.0.0.1:${port}` };
      const { stdout } = await runCommand(["doctor", "--json"], { cwd: emptyDir(), env });
      expect(stdout).not.toContain(PASSWORD);
      const { checks } = JSON.parse(stdout) as {
        checks: { name: string; status: string; message: string }[];
      };
      return checks.find(({ name }) => name === "proxy");
    };
    expect(await check(`user:${PASSWORD}@`)).toMatchObject({
      status: "ok",
      message: expect.stringContaining("answers"),
    });
    expect(await check("")).toMatchObject({
      status: "fail",
      message: "the proxy wants a user name and a password (407)",
    });
    await proxy.stop();
    expect(await check("")).toMatchObject({
      status: "fail",
      message: expect.stringContaining("refused the connection"),
    });
  });
});

test("doctor says what a proxy does not connect to, and gives up on one that hangs", async () => {
  const proxy = await startRawReceiver({ onRequest: () => {} });
  atEnd(proxy.stop);
  const env = { ARMORHOOKS_PROXY: `http://127.0.0.1:${proxy.port}` };
  const { stdout } = await runCommand(["doctor"], { cwd: emptyDir(), env });
  expect(stdout).toContain("it did not answer within 5 s");
}, 10_000);

test("a proxy that is none is refused at the start, without its password in the line", async () => {
  for (const url of [`https://user:${PASSWORD}@proxy.test:3128`, `user:${PASSWORD}@proxy.test`]) {
    const options = ["serve", "--proxy", url];
    const { code, stderr, stdout } = await runCommand(options, { cwd: emptyDir() });
    expect(code).toBe(2);
    expect(stderr).toContain("--proxy (ARMORHOOKS_PROXY) cannot be used: it must be http://host:port");
    expect(stderr + stdout).not.toContain(PASSWORD);
  }
});
