import { afterEach, describe, expect, test } from "bun:test";
import { existsSync } from "node:fs";
import { createServer, type Server, type Socket } from "node:net";
import { join } from "node:path";
import { EventRefusedError, type ScanEvent, Scanner, type ScannerError } from "../../src/scanner/index.ts";
import { newDir, removeDir, until } from "../support/daemon.ts";

const EVENT: ScanEvent = { tier: "red", action: "block", risk_score: 85, signals: [] };

const made: (() => unknown)[] = [];
afterEach(async () => {
  for (const undo of made.splice(0).reverse()) await undo();
});

/** A socket whose other side does what the test says. */
function listen(onLine: (socket: Socket, event: { id: string }) => void) {
  const dir = newDir();
  const path = join(dir, "events.sock");
  const sockets = new Set<Socket>();
  const seen: { id: string }[] = [];
  const server: Server = createServer((socket) => {
    sockets.add(socket);
    let rest = "";
    socket.on("data", (chunk) => {
      const lines = (rest + chunk).split("\n");
      rest = lines.pop() ?? "";
      for (const line of lines) {
        seen.push(JSON.parse(line));
        onLine(socket, JSON.parse(line));
      }
    });
    socket.on("error", () => {});
  });
  made.push(() => {
    for (const socket of sockets) socket.destroy();
    server.close();
    removeDir(dir);
  });
  return { path, seen, sockets, open: () => new Promise<void>((resolve) => server.listen(path, resolve)) };
}

function ackFor(socket: Socket, { id }: { id: string }): void {
  socket.write(`${JSON.stringify({ ok: true, id: `e-${id}`, deliveries: 1 })}\n`);
}

function scannerAt(socket: string, maxBytes?: number) {
  const problems: ScannerError[] = [];
  const scanner = new Scanner({ socket, maxBytes, onProblem: (error) => problems.push(error) });
  made.push(() => scanner.close({ timeout: 1 }).catch(() => {}));
  return { scanner, problems };
}

async function failureOf(call: Promise<unknown>): Promise<ScannerError> {
  return call.then(
    () => Promise.reject(new Error("resolved")),
    (error: ScannerError) => error,
  );
}

describe("send", () => {
  test("resolves with the ack; the id is the event's own, or a new one", async () => {
    const daemon = listen(ackFor);
    await daemon.open();
    const { scanner } = scannerAt(daemon.path);
    expect(await scanner.send({ ...EVENT, id: "scan-42" })).toEqual({
      id: "e-scan-42",
      deliveries: 1,
      duplicate: false,
    });
    await Promise.all([scanner.send(EVENT), scanner.send(EVENT)]);
    const ids = daemon.seen.map(({ id }) => id);
    expect(new Set(ids).size).toBe(3);
    expect(ids[1]).toMatch(/^[0-9a-f-]{36}$/);
    expect(daemon.sockets.size).toBe(1);
  });

  test("takes the event as it is at the call", async () => {
    const daemon = listen(ackFor);
    await daemon.open();
    const { scanner } = scannerAt(daemon.path);
    const event = { ...EVENT };
    const ack = scanner.send(event);
    event.risk_score = 1;
    await ack;
    expect(daemon.seen).toMatchObject([{ risk_score: 85 }]);
  });

  test("what cannot be written as JSON is refused here, with the event's id", async () => {
    const { scanner } = scannerAt("/nowhere");
    const bad = { ...EVENT, id: "scan-1", risk_score: 1n } as unknown as ScanEvent;
    const error = await failureOf(scanner.send(bad));
    expect(error).toBeInstanceOf(EventRefusedError);
    expect(error).toMatchObject({ name: "EventRefusedError", code: "VALIDATION_ERROR", id: "scan-1" });
    expect(await failureOf(scanner.send(null as never))).toMatchObject({ code: "VALIDATION_ERROR" });
  });

  test("is refused when as much is unacked as may be kept; ready() tells when there is room", async () => {
    const daemon = listen(ackFor);
    const { scanner } = scannerAt(daemon.path, 1_000);
    const acks: Promise<unknown>[] = [];
    let full: ScannerError | null = null;
    for (let i = 0; i < 20; i += 1) acks.push(scanner.send(EVENT).catch((error) => (full = error)));
    let ready = false;
    const room = scanner.ready().then(() => (ready = true));
    await Bun.sleep(20);
    expect(full as ScannerError | null).toMatchObject({ name: "ScannerFullError", code: "FULL" });
    expect([scanner.unacked < 10, ready]).toEqual([true, false]);
    await daemon.open();
    await Promise.all([...acks, room]);
    await scanner.ready();
    expect(scanner.unacked).toBe(0);
  });

  test("a signal ends the waiting: what was not written is not sent", async () => {
    const daemon = listen(ackFor);
    const { scanner } = scannerAt(daemon.path);
    const error = await failureOf(
      scanner.send({ ...EVENT, id: "late" }, { signal: AbortSignal.timeout(30) }),
    );
    expect([error.name, scanner.unacked]).toEqual(["TimeoutError", 0]);
    await daemon.open();
    await scanner.send({ ...EVENT, id: "in time" }, { signal: AbortSignal.timeout(5_000) });
    expect(daemon.seen.map(({ id }) => id)).toEqual(["in time"]);
  });
});

describe("what the daemon may do", () => {
  test("UNAVAILABLE: the event goes again before what was not written, until it is taken", async () => {
    let refusals = 3;
    const daemon = listen((socket, event) => {
      if (refusals-- > 0) {
        socket.write('{"ok":false,"error":{"code":"UNAVAILABLE","message":"the disk is full"}}\n');
      } else ackFor(socket, event);
    });
    await daemon.open();
    const { scanner, problems } = scannerAt(daemon.path);
    await Promise.all(["a", "b", "c"].map((id) => scanner.send({ ...EVENT, id })));
    expect(daemon.seen.map(({ id }) => id)).toEqual(["a", "b", "c", "a", "b", "c"]);
    expect(problems).toMatchObject([{ code: "UNAVAILABLE", message: "the disk is full" }]);
    expect(daemon.sockets.size).toBe(1);
  });

  test.each([
    ["no JSON", "hello\n"],
    ["no ack", '{"ok":1}\n'],
    ["one ack too many", '{"ok":true,"id":"1","deliveries":0}\n'.repeat(2)],
    ["a line without end", "x".repeat(100_000)],
  ])("%s: the connection is given up and the event sent again", async (_what, answer) => {
    let answers = 0;
    const daemon = listen((socket, event) => {
      if (answers++ === 0) socket.write(answer);
      else ackFor(socket, event);
    });
    await daemon.open();
    const { scanner, problems } = scannerAt(daemon.path);
    await scanner.send({ ...EVENT, id: "a" });
    await scanner.send({ ...EVENT, id: "b" });
    expect(daemon.seen.map(({ id }) => id).slice(-1)).toEqual(["b"]);
    if (problems.length > 0) expect(problems).toMatchObject([{ code: "BAD_ANSWER" }]);
    expect(daemon.sockets.size).toBe(2);
  });

  test("hanging up while nothing is unacked is no problem: the next event connects again", async () => {
    const daemon = listen((socket, event) => {
      ackFor(socket, event);
      setTimeout(() => socket.end(), 5);
    });
    await daemon.open();
    const { scanner, problems } = scannerAt(daemon.path);
    for (let i = 0; i < 3; i += 1) {
      await scanner.send(EVENT);
      await Bun.sleep(30);
    }
    expect([daemon.sockets.size, problems]).toEqual([3, []]);
  });
});

describe("close", () => {
  test("waits for the last ack, takes no more, and hangs up", async () => {
    const daemon = listen((socket, event) => setTimeout(() => ackFor(socket, event), 50));
    await daemon.open();
    const { scanner } = scannerAt(daemon.path);
    let acked = 0;
    for (let i = 0; i < 5; i += 1) scanner.send(EVENT).then(() => (acked += 1));
    const closing = scanner.close();
    expect(await failureOf(scanner.send(EVENT))).toMatchObject({
      name: "ScannerClosedError",
      code: "CLOSED",
    });
    expect(await failureOf(scanner.ready())).toMatchObject({ code: "CLOSED" });
    await closing;
    await Promise.all([scanner.close(), scanner.close()]);
    expect(acked).toBe(5);
    await until("it has hung up", () => [...daemon.sockets].every((socket) => socket.destroyed));
  });

  test("with a timeout gives up: what is unacked rejects", async () => {
    const { scanner } = scannerAt("/nowhere/events.sock");
    const sending = failureOf(scanner.send(EVENT));
    const error = await failureOf(scanner.close({ timeout: 30 }));
    expect(error).toMatchObject({ name: "ScannerTimeoutError", code: "TIMEOUT" });
    expect(error.message).toBe("1 event was not acked within 30 ms");
    expect(await sending).toMatchObject({ code: "CLOSED" });
  });

  test("of a scanner that has sent nothing connects to nothing", async () => {
    const { scanner } = scannerAt("/nowhere/events.sock");
    await scanner.close();
    expect(existsSync("/nowhere")).toBe(false);
  });
});

test("does not keep the process alive once everything is acked", async () => {
  const daemon = listen(ackFor);
  await daemon.open();
  const program = `
    import { Scanner } from ${JSON.stringify(join(import.meta.dir, "../../src/scanner/index.ts"))};
    await new Scanner({ socket: ${JSON.stringify(daemon.path)} }).send(${JSON.stringify(EVENT)});`;
  const child = Bun.spawn([process.execPath, "-e", program], { stderr: "inherit" });
  made.push(() => child.kill());
  expect(await child.exited).toBe(0);
});

test.each([[{ socket: "" }], [{ socket: "/x", maxBytes: 0 }], [{ socket: "/x", maxBytes: Number.NaN }]])(
  "refuses %p",
  (options) => {
    expect(() => new Scanner(options)).toThrow(expect.objectContaining({ code: "INVALID_ARGUMENT" }));
  },
);
