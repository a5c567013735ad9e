import { existsSync } from "node:fs";
import { chromium } from "playwright-core";
import { type Bench, check, type Row } from "../support/bench.ts";
import { install } from "../support/installation.ts";
import { skipped } from "../support/skipped.ts";
import { formatMs, median } from "../support/statistics.ts";

const CHROMIUM = "/usr/bin/chromium";
const NAME = "the page: bytes of the first view, first paint, usable";
const [GOAL_BYTES, GOAL_PAINT_MS, GOAL_USABLE_MS] = [100_000, 200, 500];

/** The first view of the page with many webhooks, as a browser that has nothing cached loads it. */
export const pageRow: Row = {
  name: "page",
  async run(bench) {
    if (!existsSync(CHROMIUM)) return [skipped(NAME, `no ${CHROMIUM}`)];
    const count = bench.size(1_000, 100);
    const urls = Array.from({ length: count }, (_, index) => `https://hooks-${index}.example.com/services/1`);
    const { daemon, key } = await install(bench, { webhooks: urls.map((url) => ({ url })) });
    const views = await loadViews(bench, `${daemon.url}/dashboard#key=${key}`, bench.size(7, 3));
    const [bytes, paint, usable] = [
      median(views.map((view) => view.bytes)),
      median(views.map((view) => view.paint)),
      median(views.map((view) => view.usable)),
    ];
    await daemon.stop();
    return [
      {
        name: `${NAME}, ${count.toLocaleString("en")} webhooks`,
        figure: `${(bytes / 1000).toFixed(1)} kB, ${formatMs(paint)}, ${formatMs(usable)}`,
        limit: "",
        ratio: "",
        goal: "100 kB, 200 ms, 500 ms",
        reached: bytes <= GOAL_BYTES && paint <= GOAL_PAINT_MS && usable <= GOAL_USABLE_MS,
        values: { bytes, paint, usable },
      },
    ];
  },
};

interface FirstView {
  /** Over the wire, header fields included, without what the API answers. */
  bytes: number;
  /** Milliseconds from the start of the navigation. */
  paint: number;
  /** Until the list of webhooks is there and can be used, likewise. */
  usable: number;
}

/** Loads the page in fresh profiles; the first time, in which the browser itself warms up, is not counted. */
async function loadViews(bench: Bench, url: string, rounds: number): Promise<FirstView[]> {
  const home = bench.newDir();
  const browser = await chromium.launch({
    executablePath: CHROMIUM,
    args: ["--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage", "--disable-background-networking"],
    env: { PATH: process.env["PATH"] ?? "", HOME: home },
  });
  bench.defer(() => browser.close());
  const views: FirstView[] = [];
  for (let round = 0; round <= rounds; round++) {
    const context = await browser.newContext();
    const page = await context.newPage();
    await page.goto(url, { waitUntil: "commit" });
    const view = await page.evaluate<FirstView>(MEASURE);
    check("the view was painted, and came over the wire", view.paint > 0 && view.bytes > 10_000);
    if (round > 0) views.push(view);
    await context.close();
    bench.progress(`page: ${round} of ${rounds}`);
  }
  return views;
}

/** Runs in the page: text, so that nothing here must know the types of browsers. */
const MEASURE = `new Promise((resolve) => {
  const look = () => {
    if (document.querySelectorAll(".webhooks li").length === 0) return requestAnimationFrame(look);
    const usable = performance.now();
    const files = performance.getEntriesByType("resource").filter(({ name }) => name.includes("/dashboard/"));
    const [navigation] = performance.getEntriesByType("navigation");
    const bytes = [navigation, ...files].reduce((sum, { transferSize }) => sum + transferSize, 0);
    const [paint] = performance.getEntriesByName("first-contentful-paint");
    resolve({ bytes, paint: paint ? paint.startTime : usable, usable });
  };
  look();
})`;
