import { afterAll, beforeAll, expect, test } from "bun:test";
import { connectable } from "../../src/cli/health.ts";
import { type RunningDaemon, removeDir, runCommand, startDaemon } from "../support/daemon.ts";
import { startReceiver } from "../support/receiver.ts";

let daemon: RunningDaemon;
let port: string;

beforeAll(async () => {
  daemon = await startDaemon();
  port = new URL(daemon.url).port;
});
afterAll(async () => {
  await daemon.stop("SIGKILL");
  removeDir(daemon.dir);
});

test("health ends with 0 when the daemon accepts work, whatever proxy the environment names", async () => {
  const env = { HTTP_PROXY: "http://127.0.0.1:9", http_proxy: "http://127.0.0.1:9" };
  const { code, stderr } = await runCommand(["health", "--port", port], { env });
  expect({ code, stderr }).toEqual({ code: 0, stderr: "" });
});

test("health takes host and port from the environment of serve, the wildcard address included", async () => {
  const env = { ARMORHOOKS_HOST: "0.0.0.0", ARMORHOOKS_PORT: port };
  expect((await runCommand(["health"], { env })).code).toBe(0);
});

test("health ends with 1 and a line when nobody listens", async () => {
  const receiver = startReceiver();
  const free = String(receiver.port);
  await receiver.stop();
  const { code, stderr } = await runCommand(["health", "--port", free]);
  expect(code).toBe(1);
  expect(stderr).toContain(`http://127.0.0.1:${free}/health does not answer`);
});

test("health ends with 1 when the answer is not 200", async () => {
  const receiver = startReceiver(() => new Response("draining", { status: 503 }));
  const { code, stderr } = await runCommand(["health", "--port", String(receiver.port)]);
  await receiver.stop();
  expect(code).toBe(1);
  expect(stderr).toContain("answers 503");
});

test("health gives up on an answer that takes more than 3 s", async () => {
  const receiver = startReceiver(() => new Promise(() => {}));
  const started = performance.now();
  const { code } = await runCommand(["health", "--port", String(receiver.port)]);
  await receiver.stop();
  expect(code).toBe(1);
  expect(performance.now() - started).toBeLessThan(4_900);
});

test("health refuses port 0, which no daemon listens on", async () => {
  expect((await runCommand(["health", "--port", "0"])).code).toBe(2);
});

test.each([
  ["127.0.0.1", "127.0.0.1"],
  ["0.0.0.0", "127.0.0.1"],
  ["::", "[::1]"],
  ["0:0:0:0:0:0:0:0", "[::1]"],
  ["::1", "[::1]"],
  ["[::1]", "[::1]"],
  ["localhost", "localhost"],
])("a daemon that listens on %s is asked at %s", (host, expected) => {
  expect(connectable(host)).toBe(expected);
});
