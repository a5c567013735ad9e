import { afterEach, beforeEach, expect, test } from "bun:test";
import { existsSync } from "node:fs";
import { Command } from "commander";
import type { Config } from "../src/config/config.ts";
import { serveOptions } from "../src/config/options.ts";
import { toConfig } from "../src/config/resolve.ts";
import { createDaemon } from "../src/daemon.ts";
import { LOOPBACK, newDir, removeDir } from "./support/daemon.ts";
import { type Receiver, startReceiver } from "./support/receiver.ts";
import { silentLogger } from "./support/silent-logger.ts";

let dir: string;
let receiver: Receiver;

beforeEach(() => {
  dir = newDir();
  receiver = startReceiver();
});
afterEach(async () => {
  await receiver.stop();
  removeDir(dir);
});

function configOf(args: readonly string[]): Config {
  const command = new Command();
  for (const option of serveOptions()) command.addOption(option);
  command.parse(["--data-dir", dir, ...LOOPBACK, ...args], { from: "user" });
  return toConfig(command.opts(), { environment: {} });
}

const open = (...args: string[]) => createDaemon({ config: configOf(args), log: silentLogger });
const isAnswered = (url: string) =>
  fetch(`${url}/health`).then(
    () => true,
    () => false,
  );

test("a start that fails leaves nothing behind: no API, no socket, no lock", async () => {
  let at = "";
  const failed = await open("--port", "0");
  const start = failed.start(async (url) => {
    at = url;
    expect(await isAnswered(url)).toBe(true);
    throw new Error("the key cannot be shown");
  });
  await expect(start).rejects.toThrow("the key cannot be shown");
  expect([await isAnswered(at), existsSync(configOf([]).socket)]).toEqual([false, false]);

  const next = await open("--port", new URL(at).port);
  expect(await next.start()).toMatchObject({ url: at });
  expect(await next.stop()).toBe(true);
});

test("a start that finds its port taken ends as well, and says so", async () => {
  const { port } = new URL(receiver.url);
  const daemon = await open("--port", port);
  await expect(daemon.start()).rejects.toThrow(`cannot listen on 127.0.0.1 port ${port}`);
  const next = await open("--port", "0");
  expect(await next.stop()).toBe(true);
});
