import { afterEach, expect, test } from "bun:test";
import { readFileSync } from "node:fs";
import { connect } from "node:net";
import { connectScanner, type Scanner, scan, until } from "../support/daemon.ts";
import { atEnd, cleanUp, linesOf, receive, register, startBinary } from "../support/e2e.ts";
import { openDescriptors } from "../support/proc.ts";

afterEach(cleanUp);

const LIMIT = 64;
const WEBHOOKS = 40;
const SCANNERS = 80;
const SHORT = "file descriptors are short: what needs one waits until there are some again";

/** Processor time of a process so far, in seconds (proc(5): hundredths, the 14th and 15th field). */
function processorSeconds(pid: number): number {
  const stat = readFileSync(`/proc/${pid}/stat`, "utf8");
  const fields = stat.slice(stat.lastIndexOf(")") + 2).split(" ");
  return (Number(fields[11]) + Number(fields[12])) / 100;
}

/** Connects and sends one event; null when it was turned away, before or after it had written. */
async function tryToSend(path: string): Promise<Scanner | null> {
  let scanner: Scanner | null = null;
  try {
    scanner = await connectScanner(path);
    const [ack] = await scanner.send(scan());
    if (ack?.ok) return scanner;
  } catch {
    // The connection was closed before it was up, or before the ack.
  }
  scanner?.close();
  return null;
}

/** Comes again as long as it is turned away; answers how often it was. */
async function sendStubbornly(path: string, held: Scanner[]): Promise<number> {
  for (let turnedAway = 0; ; turnedAway += 1) {
    const scanner = await tryToSend(path);
    if (scanner) {
      held.push(scanner);
      return turnedAway;
    }
    await Bun.sleep(100);
  }
}

test("with few file descriptors everything is slower, nothing fails and nothing spins", async () => {
  const receivers = Array.from({ length: WEBHOOKS }, () => receive());
  const daemon = await startBinary({
    args: ["--socket-connections", "1000"],
    through: ["sh", "-c", `ulimit -n ${LIMIT} && exec "$@"`, "sh"],
  });
  for (const { url } of receivers) await register(daemon, url);
  const held: Scanner[] = [];
  atEnd(() => {
    for (const scanner of held) scanner.close();
  });
  const sent = Array.from({ length: SCANNERS }, () => sendStubbornly(daemon.socket, held));
  await until("some scanners are taken and some are not", () => held.length >= 4);

  // As it is for a while: nobody lets go.
  const before = processorSeconds(daemon.pid);
  for (let i = 0; i < 20; i += 1) {
    expect((await fetch(`${daemon.url}/health`, { signal: AbortSignal.timeout(1_000) })).status).toBe(200);
    expect(openDescriptors(daemon.pid)).toBeLessThanOrEqual(LIMIT);
    await Bun.sleep(100);
  }
  expect(processorSeconds(daemon.pid) - before).toBeLessThan(1);
  expect(held.length).toBeLessThan(SCANNERS);

  // Those who are served leave, and the others have their turn.
  const leave = setInterval(() => held.shift()?.close(), 10);
  atEnd(() => clearInterval(leave));
  expect((await Promise.all(sent)).some((turnedAway) => turnedAway > 0)).toBe(true);
  const total = WEBHOOKS * SCANNERS;
  await until("all is delivered", () => linesOf(daemon, "delivery finished").length === total, 30_000);
  expect(linesOf(daemon, "attempt made").filter(({ error }) => error !== null)).toEqual([]);
  expect(linesOf(daemon, "delivery finished").every(({ status }) => status === "delivered")).toBe(true);
  expect(receivers.reduce((sum, { received }) => sum + received.length, 0)).toBe(total);
  expect(linesOf(daemon, SHORT).length).toBe(1);
  expect(daemon.log.filter(({ level }) => level === "error")).toEqual([]);
}, 60_000);

test("connections to the API that idle give way to those that ask", async () => {
  const daemon = await startBinary({ through: ["sh", "-c", `ulimit -n ${LIMIT} && exec "$@"`, "sh"] });
  const { hostname, port } = new URL(daemon.url);
  let answered = 0;
  const clients = Array.from({ length: 2 * LIMIT }, () =>
    connect(Number(port), hostname)
      .on("error", () => {})
      .once("data", () => {
        answered += 1;
      }),
  );
  atEnd(() => {
    for (const client of clients) client.destroy();
  });
  for (const client of clients) client.write("GET /health HTTP/1.1\r\nhost: x\r\n\r\n");
  await until("all are answered, though none leaves", () => answered === clients.length);
  expect((await fetch(`${daemon.url}/health`, { signal: AbortSignal.timeout(2_000) })).status).toBe(200);
  expect(linesOf(daemon, SHORT).length).toBe(1);
}, 20_000);
