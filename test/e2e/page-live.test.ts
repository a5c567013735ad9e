import { afterAll, afterEach, beforeAll, describe, expect, test } from "bun:test";
import type { Page } from "playwright-core";
import {
  BROWSER_TIMEOUT_MS,
  launchBrowser,
  NO_BROWSER,
  type OwnBrowser,
  openPage,
} from "../support/browser.ts";
import { connectScanner, scan, until } from "../support/daemon.ts";
import { atEnd, cleanUp, receive, register, startAgain, startBinary } from "../support/e2e.ts";
import { makeKey, signIn } from "../support/page.ts";

describe.skipIf(NO_BROWSER)("the page, live", () => {
  let browser: OwnBrowser;

  beforeAll(async () => {
    browser = await launchBrowser();
  }, BROWSER_TIMEOUT_MS);
  afterEach(cleanUp);
  afterAll(() => browser?.close(), BROWSER_TIMEOUT_MS);

  test(
    "shows a new delivery within a second, on every view that has a place for it",
    async () => {
      const daemon = await startBinary();
      const { id } = await register(daemon, receive().url);
      const scanner = await connectScanner(daemon.socket);
      atEnd(() => scanner.close());
      const { page, faults } = await signIn(browser, daemon, { path: `/dashboard/webhooks/${id}` });
      await isLive(page);
      await page.getByText("Nothing has been sent to it yet. Send").waitFor();

      const rows = page.getByRole("list", { name: "Deliveries" }).getByRole("listitem");
      for (let count = 1; count <= 3; count++) {
        await scanner.send(scan({ id: `scan-${count}`, tier: "yellow" }));
        await rows.nth(count - 1).waitFor({ timeout: 1_000 });
        expect(await rows.first().textContent()).toContain("delivered");
        expect(await rows.first().textContent()).toContain("yellow");
      }

      await page.getByRole("link", { name: "Events" }).click();
      await page.getByRole("link", { name: "scan-3" }).waitFor();
      await scanner.send(scan({ id: "scan-4" }));
      await page.getByRole("link", { name: "scan-4" }).waitFor({ timeout: 1_000 });

      await page.getByRole("link", { name: "Webhooks" }).click();
      await page.getByText("4 delivered").waitFor();
      await scanner.send(scan({ id: "scan-5" }));
      await page.getByText("5 delivered").waitFor({ timeout: 1_000 });
      await register(daemon, "https://other.example.com/hook");
      await page.getByRole("link", { name: "other.example.com" }).waitFor();
      expect(faults).toEqual([]);
    },
    BROWSER_TIMEOUT_MS,
  );

  test(
    "says that the connection is lost, comes back by itself, and has what happened meanwhile",
    async () => {
      const daemon = await startBinary();
      const receiver = receive();
      const { id } = await register(daemon, receiver.url);
      const { page } = await signIn(browser, daemon, { path: `/dashboard/webhooks/${id}` });
      await isLive(page);
      await daemon.stop("SIGKILL");
      await page.getByText("connection lost").waitFor();

      const port = new URL(daemon.url).port;
      const again = await startAgain(daemon, { args: ["--port", port] });
      const scanner = await connectScanner(again.socket);
      atEnd(() => scanner.close());
      await scanner.send(scan());
      await until("it was sent", () => receiver.received.length === 1);
      await isLive(page);
      await page.getByRole("list", { name: "Deliveries" }).getByText("delivered").waitFor();
    },
    BROWSER_TIMEOUT_MS,
  );

  test(
    "goes on answering while events come by thousands a second",
    async () => {
      const daemon = await startBinary();
      const { id } = await register(daemon, receive().url);
      const scanner = await connectScanner(daemon.socket);
      atEnd(() => scanner.close());
      const { page, faults } = await signIn(browser, daemon, { path: `/dashboard/webhooks/${id}` });
      await isLive(page);
      // The longest that the page has kept everything else waiting.
      await page.evaluate(`
        globalThis.longest = 0;
        let last = performance.now();
        setInterval(() => {
          const now = performance.now();
          globalThis.longest = Math.max(globalThis.longest, now - last - 20);
          last = now;
        }, 20);
      `);
      const EVENTS = 20_000;
      const BATCH = 1_000;
      const flood = (async () => {
        for (let sent = 0; sent < EVENTS; sent += BATCH) {
          await scanner.send(
            ...Array.from({ length: BATCH }, (_, index) => scan({ id: `scan-${sent + index}` })),
          );
        }
      })();
      await page.getByRole("radio", { name: "Delivered" }).check();
      await page.getByRole("radio", { name: "All" }).check();
      await page.getByRole("link", { name: "Webhooks" }).click();
      await page.getByRole("link", { name: "127.0.0.1" }).click();
      await flood;
      const rows = page.getByRole("list", { name: "Deliveries" }).getByRole("listitem");
      await rows.nth(24).waitFor();
      expect(await rows.count()).toBe(25);
      // On a machine that also sends, receives and draws; half of it is what a person notices.
      expect(await page.evaluate<number>("globalThis.longest")).toBeLessThan(1_000);
      const delivered = `${EVENTS.toLocaleString("en")} delivered`;
      await page.getByRole("link", { name: "Webhooks" }).click();
      await page.getByText(delivered).waitFor({ timeout: 30_000 });
      expect(faults).toEqual([]);
    },
    BROWSER_TIMEOUT_MS * 2,
  );

  test(
    "is usable within half a second with 1,000 webhooks, and finds any of them",
    async () => {
      const daemon = await startBinary();
      const key = await makeKey(daemon);
      for (let count = 0; count < 1_000; count += 50) {
        await Promise.all(
          Array.from({ length: 50 }, async (_, index) => {
            const body = {
              url: `https://hooks-${count + index}.example.com/services/1`,
              name: `hook ${count + index}`,
            };
            const answer = await fetch(`${daemon.url}/v1/webhooks`, {
              method: "POST",
              headers: { authorization: `Bearer ${key}`, "content-type": "application/json" },
              body: JSON.stringify(body),
            });
            expect(answer.status).toBe(201);
          }),
        );
      }
      const { page, faults } = await openPage(browser, daemon);
      await page.goto(`${daemon.url}/dashboard#key=${key}`);
      await page.getByText("1,000 healthy").waitFor();
      const times: number[] = [];
      for (let round = 0; round < 3; round++) {
        await page.reload({ waitUntil: "commit" });
        times.push(await usableAfter(page));
      }
      expect(Math.min(...times)).toBeLessThan(500);
      await page.getByLabel("Find by name or address").fill("hooks-517.");
      await page.getByRole("link", { name: "hook 517" }).click();
      await page.getByRole("heading", { name: "hook 517" }).waitFor();
      expect(faults).toEqual([]);
    },
    BROWSER_TIMEOUT_MS,
  );
});

async function isLive(page: Page): Promise<void> {
  await page.locator(".live.live").waitFor();
}

/** Milliseconds from the start of the navigation until the list of webhooks can be used. */
function usableAfter(page: Page): Promise<number> {
  return page.evaluate<number>(`new Promise((resolve) => {
    const look = () => {
      if (document.querySelectorAll(".webhooks li").length >= 100) resolve(performance.now());
      else requestAnimationFrame(look);
    };
    look();
  })`);
}
