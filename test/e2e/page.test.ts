import { afterAll, afterEach, beforeAll, describe, expect, test } from "bun:test";
import {
  BROWSER_TIMEOUT_MS,
  launchBrowser,
  NO_BROWSER,
  type OwnBrowser,
  openPage,
} from "../support/browser.ts";
import { connectScanner, scan, until } from "../support/daemon.ts";
import { atEnd, cleanUp, receive, register, startBinary, verify } from "../support/e2e.ts";
import { makeKey, signIn, stored } from "../support/page.ts";

describe.skipIf(NO_BROWSER)("the page", () => {
  let browser: OwnBrowser;

  beforeAll(async () => {
    browser = await launchBrowser();
  }, BROWSER_TIMEOUT_MS);
  afterEach(cleanUp);
  afterAll(() => browser?.close(), BROWSER_TIMEOUT_MS);

  test(
    "refuses a wrong key, takes a right one, keeps it in the tab's session alone, and forgets it",
    async () => {
      const daemon = await startBinary();
      const { page, faults } = await openPage(browser, daemon);
      await page.goto(`${daemon.url}/`);
      expect(page.url()).toBe(`${daemon.url}/dashboard`);
      await page.getByLabel("API key").fill(`ia_sk_${"0".repeat(48)}`);
      await page.getByRole("button", { name: "Sign in" }).click();
      expect(await page.getByRole("alert").textContent()).toContain("unknown, disabled or expired");
      expect((await stored(page)).session).toEqual([]);
      // The browser itself says on its console that the answer was 401.
      expect(faults.splice(0)).toEqual([expect.stringContaining("401")]);

      await page.getByLabel("API key").fill(` ${daemon.key} `);
      await page.keyboard.press("Enter");
      await page.getByRole("heading", { name: "Nothing is set up yet." }).waitFor();
      expect(await stored(page)).toEqual({ session: [daemon.key], local: [], cookies: [] });
      await page.reload();
      await page.getByRole("heading", { name: "Nothing is set up yet." }).waitFor();

      await page.getByRole("button", { name: "Sign out" }).click();
      await page.getByLabel("API key").waitFor();
      expect((await stored(page)).session).toEqual([]);
      expect(faults).toEqual([]);
    },
    BROWSER_TIMEOUT_MS,
  );

  test(
    "is signed in by a link, whose key leaves the address at once, and no request has it in its address",
    async () => {
      const daemon = await startBinary();
      const { page, faults } = await openPage(browser, daemon);
      const asked: string[] = [];
      page.on("request", (request) => asked.push(request.url()));
      await page.goto(`${daemon.url}/dashboard/events#key=${daemon.key}`);
      await page.getByLabel("Scanner's id").waitFor();
      expect(page.url()).toBe(`${daemon.url}/dashboard/events`);
      await page.goto(`${daemon.url}/dashboard#key=${daemon.key}`);
      await page.getByRole("heading", { name: "Nothing is set up yet." }).waitFor();
      expect(page.url()).toBe(`${daemon.url}/dashboard`);
      expect((await stored(page)).session).toEqual([daemon.key]);
      expect(asked.filter((url) => new URL(url).href.split("#")[0]?.includes("ia_sk_"))).toEqual([]);
      expect(faults).toEqual([]);
    },
    BROWSER_TIMEOUT_MS,
  );

  test(
    "leads from an empty installation to a webhook that was broken and is mended",
    async () => {
      const daemon = await startBinary({
        args: ["--retry-attempts", "2", "--retry-min-delay", "50ms", "--retry-jitter", "false"],
      });
      let isBroken = false;
      const receiver = receive(() =>
        isBroken ? new Response("out of <b>order</b>", { status: 500 }) : new Response("ok"),
      );
      const { page, faults } = await signIn(browser, daemon);

      await page.getByRole("button", { name: "New webhook" }).click();
      await page.getByLabel("URL").fill("ftp://example.com");
      await page.getByRole("button", { name: "Create" }).click();
      expect(await page.getByRole("alert").textContent()).toContain("url must");
      expect(faults.splice(0)).toEqual([expect.stringContaining("400")]);
      await page.getByLabel("URL").fill(receiver.url);
      await page.getByLabel("Name", { exact: true }).fill("security on call");
      await page.getByRole("button", { name: "Create" }).click();
      await page.getByRole("heading", { name: "security on call is registered" }).waitFor();
      const secret = (await page.locator(".secret .value").textContent()) ?? "";
      expect(secret).toMatch(/^[0-9a-f]{64}$/);
      await page.getByRole("link", { name: "Go on to security on call" }).click();

      await page.getByRole("button", { name: "Test" }).click();
      await page.getByText("The receiver answered 200").waitFor();
      verify({ id: "", secret }, receiver.received[0] as (typeof receiver.received)[0]);

      const scanner = await connectScanner(daemon.socket);
      atEnd(() => scanner.close());
      await scanner.send(scan({ id: "scan-1" }));
      await page.getByRole("list", { name: "Deliveries" }).getByText("delivered").waitFor();

      isBroken = true;
      await scanner.send(scan({ id: "scan-2" }));
      const deliveries = page.getByRole("list", { name: "Deliveries" });
      await deliveries.getByText("failed").waitFor();
      await page.getByText("Disabled").waitFor();
      await page.getByText("ran out of attempts").waitFor();
      // Nobody is sent this one while it is disabled.
      await scanner.send(scan({ id: "scan-3" }));

      await page.getByRole("link", { name: "Webhooks" }).click();
      await page.getByRole("heading", { name: "1 of 1 webhook needs attention." }).waitFor();
      await page.getByRole("link", { name: "security on call" }).click();
      await page.getByRole("radio", { name: "Failed" }).check();
      await deliveries.getByRole("listitem").filter({ hasText: "failed" }).getByRole("link").click();
      await page.getByRole("heading", { name: /^Delivery of/ }).waitFor();
      expect(await page.getByRole("list", { name: "Attempts" }).getByRole("listitem").count()).toBe(2);
      expect(await page.getByText("out of <b>order</b>").count()).toBe(2);
      expect(await page.getByLabel("Request").textContent()).toContain(
        receiver.received.at(-1)?.body as string,
      );

      isBroken = false;
      await page.goBack();
      await page.getByRole("button", { name: "Enable" }).click();
      await page.getByText("Healthy").waitFor();
      await page.getByText("2 events never reached it.").waitFor();
      await page.getByRole("button", { name: "Recover" }).click();
      await page.getByText("2 deliveries pending again").waitFor();
      await until(
        "it has arrived",
        () => receiver.received.filter(({ path }) => path === "/hook").length === 6,
      );
      await page.getByRole("radio", { name: "All" }).check();
      await deliveries.getByRole("link").first().click();
      await page.getByText("The receiver took it").waitFor();
      await page.getByRole("button", { name: "Send again" }).click();
      await until("it has arrived again", () => receiver.received.length === 7);

      await page.getByRole("link", { name: "Events" }).click();
      await page.getByLabel("Scanner's id").fill("scan-2");
      await until(
        "only that is shown",
        async () => (await page.getByRole("link", { name: /^scan-/ }).count()) === 1,
      );
      expect(page.url()).toEndWith("?id=scan-2");
      await page.getByRole("link", { name: "scan-2" }).click();
      await page.getByRole("link", { name: "security on call" }).click();
      await page.getByRole("heading", { name: /^Delivery of/ }).waitFor();
      await page.getByRole("link", { name: "security on call" }).click();

      await page.getByRole("button", { name: "Rotate secret" }).click();
      const rotated = page.locator(".secret .value");
      await rotated.waitFor();
      expect(await rotated.textContent()).toMatch(/^[0-9a-f]{64}$/);
      expect(await rotated.textContent()).not.toBe(secret);

      await page.getByRole("button", { name: "Delete" }).click();
      await page.getByRole("button", { name: "Keep it" }).click();
      await page.getByRole("button", { name: "Delete" }).click();
      await page.getByRole("alertdialog").getByRole("button", { name: "Delete" }).click();
      await page.getByRole("heading", { name: "Nothing is set up yet." }).waitFor();
      expect((await daemon.api("GET", "/v1/webhooks")).body.webhooks).toEqual([]);
      expect(faults).toEqual([]);
    },
    BROWSER_TIMEOUT_MS,
  );

  test(
    "changes a webhook's settings, and takes them off again",
    async () => {
      const daemon = await startBinary();
      const { id } = await register(daemon, "https://hooks.example.com/services/1");
      const { page, faults } = await signIn(browser, daemon);
      await page.getByRole("link", { name: "hooks.example.com" }).click();
      await page.getByRole("button", { name: "Change" }).click();
      await page.getByLabel("Name", { exact: true }).fill("archive");
      await page.getByRole("checkbox", { name: "green" }).uncheck();
      await page.getByText("More: filter").click();
      await page.getByLabel("Lowest risk score").fill("40");
      await page.getByRole("checkbox", { name: "block" }).check();
      await page.getByLabel("Only these domains").fill("pii, secrets");
      await page.getByLabel("Requests a minute").fill("600");
      await page.getByLabel("Header fields").fill("authorization: Bearer token");
      await page.getByRole("button", { name: "Save" }).click();
      await page.getByText("Saved.").waitFor();
      const shown = async () => (await daemon.api("GET", `/v1/webhooks/${id}`)).body.webhook;
      expect(await shown()).toMatchObject({
        name: "archive",
        events: ["red_tier", "yellow_tier"],
        filter: { min_risk_score: 40, actions: ["block"], domains: ["pii", "secrets"] },
        rate_limit_per_minute: 600,
        headers: { authorization: "***" },
      });

      await page.getByRole("button", { name: "Change" }).click();
      expect(await page.getByLabel("Header fields").inputValue()).toBe("authorization: ***");
      await page.getByText("More: filter").click();
      await page.getByLabel("Lowest risk score").fill("");
      await page.getByRole("checkbox", { name: "block" }).uncheck();
      await page.getByLabel("Only these domains").fill("");
      await page.getByLabel("Requests a minute").fill("");
      await page.getByRole("button", { name: "Save" }).click();
      await page.getByText("Saved.").waitFor();
      const after = await shown();
      expect(after).toMatchObject({ name: "archive", headers: { authorization: "***" } });
      expect(Object.keys(after)).not.toContain("filter");
      expect(Object.keys(after)).not.toContain("rate_limit_per_minute");
      expect(faults).toEqual([]);
    },
    BROWSER_TIMEOUT_MS,
  );

  test(
    "has no button that writes for a key that may only read",
    async () => {
      const daemon = await startBinary();
      const receiver = receive();
      const { id } = await register(daemon, receiver.url);
      const scanner = await connectScanner(daemon.socket);
      atEnd(() => scanner.close());
      await scanner.send(scan());
      const { page, faults } = await signIn(browser, daemon, { key: await makeKey(daemon, "--read-only") });
      await page.getByText("read only").waitFor();
      const buttons = async () =>
        (await page.getByRole("button").allTextContents()).filter(
          (name) => !/^(Sign out|Copy|Show)/.test(name),
        );
      await page.getByRole("link", { name: "127.0.0.1" }).waitFor();
      expect(await buttons()).toEqual([]);
      await page.goto(`${daemon.url}/dashboard/webhooks/${id}`);
      await page.getByRole("list", { name: "Deliveries" }).getByRole("link").waitFor();
      expect(await buttons()).toEqual([]);
      await page.getByRole("list", { name: "Deliveries" }).getByRole("link").click();
      await page.getByRole("heading", { name: /^Delivery of/ }).waitFor();
      expect(await buttons()).toEqual([]);
      await page.goto(`${daemon.url}/dashboard/new`);
      await page.getByText("This key may only read.").waitFor();
      expect(await buttons()).toEqual([]);
      expect(faults).toEqual([]);
    },
    BROWSER_TIMEOUT_MS,
  );
});
