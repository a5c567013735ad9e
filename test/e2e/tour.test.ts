import { afterAll, afterEach, beforeAll, describe, expect, test } from "bun:test";
import { chmodSync, mkdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import {
  BROWSER_TIMEOUT_MS,
  launchBrowser,
  NO_BROWSER,
  type OwnBrowser,
  openPage,
} from "../support/browser.ts";
import { BINARY, until } from "../support/daemon.ts";
import { cleanUp, emptyDir } from "../support/e2e.ts";
import { blocksOf } from "../support/markdown.ts";
import { read } from "../support/sources.ts";
import { start } from "../support/terminal.ts";

describe.skipIf(NO_BROWSER)("the README's tour", () => {
  let browser: OwnBrowser;

  beforeAll(async () => {
    browser = await launchBrowser();
  }, BROWSER_TIMEOUT_MS);
  afterEach(cleanUp);
  afterAll(() => browser?.close(), BROWSER_TIMEOUT_MS);

  test(
    "is three commands and the page, and leads to a delivery",
    async () => {
      const directory = emptyDir();
      const blocks = blocksOf("README.md");
      const [serve = "", listen = "", send = ""] = blocks
        .filter(({ heading, language }) => heading === "A tour" && language === "sh")
        .map(({ text }) => text.trim());
      expect([serve, listen, send].map((command) => /armorhooks (\w+)/.exec(command)?.[1])).toEqual([
        "serve",
        "listen",
        "send",
      ]);
      const bin = join(directory, "bin");
      mkdirSync(bin);
      writeFileSync(join(bin, "armorhooks"), `#!/bin/sh\nexec '${BINARY}' "$@"\n`);
      chmodSync(join(bin, "armorhooks"), 0o755);
      // Ports that are free, as the tour's own may be taken where tests run.
      const env = { PATH: `${bin}:${process.env["PATH"]}`, ARMORHOOKS_PORT: "0" };
      const type = (command: string) => start(["sh", "-c", command], { cwd: directory, env, terminal: true });

      const daemon = type(serve);
      await until("it is ready", () => daemon.output().includes('"msg":"ready"'));
      const link = /http:\S+\/dashboard#key=\w+/.exec(daemon.output())?.[0] ?? "";
      const receiver = type(`${listen} --port 0`);
      await until("it listens", () => receiver.output().includes("listening on"));
      const origin = /http:\/\/[\d.:]+/.exec(receiver.output())?.[0] ?? "";

      const { page, faults } = await openPage(browser, { url: new URL(link).origin });
      await page.goto(link);
      const said = /"New webhook", enter `(http:\/\/127\.0\.0\.1:\d+\/)`/.exec(read("README.md"))?.[1] ?? "";
      const { stdout } = Bun.spawnSync([BINARY, "listen", "--help"]);
      expect(stdout.toString()).toContain(new URL(said).port);
      await page.getByRole("button", { name: "New webhook" }).click();
      await page.getByLabel("URL").fill(said.replace(new URL(said).origin, origin));
      await page.getByRole("button", { name: "Create" }).click();
      await page.getByRole("link", { name: /^Go on to/ }).click();

      const sent = type(send);
      await sent.exited;
      expect(sent.output()).toContain('"deliveries":1');
      await until("the receiver has it", () => receiver.output().includes('"risk_score":85'));
      await page.getByRole("list", { name: "Deliveries" }).getByText("delivered").waitFor();
      await page.getByRole("list", { name: "Deliveries" }).getByRole("link").click();
      await page.getByRole("button", { name: "Send again" }).click();
      await until("it has it again", () => receiver.output().split('"risk_score":85').length === 3);
      expect(faults).toEqual([]);
      // The terminal's processes are told by their own numbers: what runs on a terminal does not end with it at once.
      process.kill(JSON.parse(daemon.output().match(/\{.*"msg":"ready".*\}/)?.[0] ?? "{}").pid, "SIGTERM");
      await daemon.exited;
    },
    BROWSER_TIMEOUT_MS,
  );
});
