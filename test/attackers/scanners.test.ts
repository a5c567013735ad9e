import { afterAll, afterEach, beforeAll, describe, expect, test } from "bun:test";
import { connect, type Socket } from "node:net";
import {
  type Ack,
  connectScanner,
  LOOPBACK,
  type RunningDaemon,
  removeDir,
  type Scanner,
  scan,
  startDaemon,
  until,
} from "../support/daemon.ts";
import { openDescriptors, peakMemory } from "../support/proc.ts";
import { type Receiver, startReceiver } from "../support/receiver.ts";

/** The default of --socket-connections. */
const MAX_CONNECTIONS = 1024;
const MAX_MEMORY_MIB = 200;

let daemon: RunningDaemon;
let receiver: Receiver;
/** A scanner that behaves, connected all along. */
let honest: Scanner;
/** The connections of the test at hand. */
const opened: Hostile[] = [];

beforeAll(async () => {
  receiver = startReceiver();
  daemon = await startDaemon({ args: [...LOOPBACK, "--log-level", "warn"] });
  await daemon.api("POST", "/v1/webhooks", { url: receiver.url, events: ["red_tier"] });
  honest = await connectScanner(daemon.socket);
});

/** Whoever is gone is forgotten, however it went. */
afterEach(async () => {
  for (const { socket } of opened.splice(0)) socket.destroy();
  await until("only the honest scanner is connected", async () =>
    /^armorhooks_socket_connections 1$/m.test((await daemon.api("GET", "/metrics")).body),
  );
});

afterAll(async () => {
  honest?.close();
  await daemon?.stop();
  await receiver?.stop();
  if (daemon) removeDir(daemon.dir);
});

interface Hostile {
  socket: Socket;
  /** Everything that came back. */
  text: string;
  acks(): Ack[];
  closed: boolean;
  error: string | null;
}

/** A connection that sends what it likes; `open` once connected or refused. */
function hostile(options: { reads?: boolean } = {}): Promise<Hostile> {
  const socket = connect({ path: daemon.socket, allowHalfOpen: true });
  const self: Hostile = {
    socket,
    text: "",
    acks: () =>
      self.text
        .split("\n")
        .slice(0, -1)
        .map((line) => JSON.parse(line) as Ack),
    closed: false,
    error: null,
  };
  opened.push(self);
  if (options.reads === false) socket.pause();
  else socket.on("data", (bytes) => (self.text += bytes.toString("utf8")));
  return new Promise((resolve) => {
    socket.once("connect", () => resolve(self));
    socket.on("error", (error: NodeJS.ErrnoException) => (self.error = error.code ?? "error"));
    socket.on("end", () => socket.end());
    socket.on("close", () => {
      self.closed = true;
      resolve(self);
    });
  });
}

/** The honest scanner's event is acked within a second; answers how long it took, in milliseconds. */
async function honestEvent(): Promise<number> {
  const started = performance.now();
  const [ack] = await honest.send(scan({ tier: "green", action: "allow" }));
  const took = performance.now() - started;
  expect(ack).toMatchObject({ ok: true });
  expect(took).toBeLessThan(1_000);
  return took;
}

const refusal = (code: string) => ({ ok: false, error: { code, message: expect.any(String) } });

describe("a line that is not what it should be costs that line only", () => {
  const cases: [string, string | Buffer, string][] = [
    ["binary garbage", Buffer.from([0, 1, 2, 255, 254, 128, 7, 27, 91, 50, 74]), "VALIDATION_ERROR"],
    [
      "invalid UTF-8 inside valid JSON",
      Buffer.concat([
        Buffer.from('{"tier":"red","action":"block","risk_score":1,"x":"'),
        Buffer.from([0xc3, 0x28]),
        Buffer.from('"}'),
      ]),
      "VALIDATION_ERROR",
    ],
    ["an empty line", "", "VALIDATION_ERROR"],
    ["nesting 100,000 deep", "[".repeat(100_000) + "]".repeat(100_000), "VALIDATION_ERROR"],
    ["nesting 100,000 deep and not closed", "[".repeat(100_000), "VALIDATION_ERROR"],
    ["nesting a million deep", "[".repeat(1_000_000) + "]".repeat(1_000_000), "PAYLOAD_TOO_LARGE"],
    ["objects nested 40,000 deep", `${'{"a":'.repeat(40_000)}1${"}".repeat(40_000)}`, "VALIDATION_ERROR"],
    ["1e400 as a score", '{"tier":"red","action":"block","risk_score":1e400}', "VALIDATION_ERROR"],
    [
      "minus 1e400 as a weight",
      '{"tier":"red","action":"block","risk_score":1,"signals":[{"domain":"a","type":"b","confidence":1,"weight":-1e400}]}',
      "VALIDATION_ERROR",
    ],
    [
      "fields that hide in __proto__",
      '{"__proto__":{"tier":"red","action":"block","risk_score":1}}',
      "VALIDATION_ERROR",
    ],
    [
      "a tier named like a method of every object",
      '{"tier":"constructor","action":"block","risk_score":1}',
      "VALIDATION_ERROR",
    ],
    [
      "a lone surrogate in the id",
      '{"id":"\\ud800","tier":"red","action":"block","risk_score":1}',
      "VALIDATION_ERROR",
    ],
    ["NUL in the id", '{"id":"a\\u0000b","tier":"red","action":"block","risk_score":1}', "VALIDATION_ERROR"],
    ["a raw NUL", '{"id":"a\0b","tier":"red","action":"block","risk_score":1}', "VALIDATION_ERROR"],
    ["an array", "[1,2,3]", "VALIDATION_ERROR"],
    ["null", "null", "VALIDATION_ERROR"],
    ["a line of 256 KiB and a byte", "x".repeat(256 * 1024 + 1), "PAYLOAD_TOO_LARGE"],
    ["a line of 3 MiB", "x".repeat(3 * 1024 * 1024), "PAYLOAD_TOO_LARGE"],
    [
      "an organization that is none",
      '{"organization_id":"00000000-0000-4000-8000-000000000000","tier":"red","action":"block","risk_score":1}',
      "NOT_FOUND",
    ],
  ];
  test.each(cases)("%s", async (_name, line, code) => {
    const client = await hostile();
    client.socket.write(Buffer.concat([Buffer.from(line), Buffer.from("\n")]));
    client.socket.write(`${JSON.stringify(scan({ tier: "green" }))}\n`);
    await until("both lines are answered", () => client.acks().length === 2);
    expect(client.acks()).toEqual([refusal(code), { ok: true, id: expect.any(String), deliveries: 0 }]);
  });

  test("lone surrogates, NUL and __proto__ in signals and unknown fields reach receivers as harmless JSON", async () => {
    const before = receiver.received.length;
    const line =
      '{"__proto__":{"admin":true},"prompt":"secret","tier":"red","action":"block","risk_score":1,"signals":[{"__proto__":1,"domain":"\\ud800","type":"\\u0000\\u001b[2J","confidence":1,"weight":-0}]}';
    expect((await honest.send(line))[0]).toMatchObject({ ok: true, deliveries: 1 });
    await until("it is delivered", () => receiver.received.length > before);
    const { body } = receiver.received[before] as { body: string };
    expect(Object.keys(JSON.parse(body))).toHaveLength(7);
    expect(body).toContain(
      '"signals":[{"domain":"\\ud800","type":"\\u0000\\u001b[2J","confidence":1,"weight":0}]',
    );
    expect(body).not.toContain("secret");
  });
});

describe("a scanner that dawdles", () => {
  test("one byte at a time gets its ack like any other", async () => {
    const client = await hostile();
    for (const byte of Buffer.from(`${JSON.stringify(scan({ tier: "green" }))}\n`)) {
      client.socket.write(Buffer.of(byte));
      await new Promise((next) => setImmediate(next));
    }
    await until("it is acked", () => client.acks().length === 1);
    expect(client.acks()[0]).toMatchObject({ ok: true });
  });

  test("half a line and gone is forgotten", async () => {
    const client = await hostile();
    client.socket.end('{"tier":"red","action":"blo');
    await until("the daemon closes it", () => client.closed);
    expect(client.text).toBe("");
    await honestEvent();
  });

  test("whole lines and gone are stored", async () => {
    const before = receiver.received.length;
    const client = await hostile();
    client.socket.write(`${JSON.stringify(scan())}\n`, () => client.socket.destroy());
    await until("its event is delivered", () => receiver.received.length === before + 1);
  });

  test("a half-closed connection still gets every ack, and then the end", async () => {
    const client = await hostile();
    const lines = Array.from({ length: 3_000 }, () => `${JSON.stringify(scan({ tier: "green" }))}\n`);
    client.socket.end(lines.join(""));
    await until("the daemon closes it", () => client.closed);
    expect(client.error).toBeNull();
    expect(client.acks().filter(({ ok }) => ok)).toHaveLength(3_000);
  });

  test("acks that are read late come all the same, whole and in order", async () => {
    const client = await hostile({ reads: false });
    const pair = `{"tier":"none"}\n${JSON.stringify(scan({ tier: "green", signals: [] }))}\n`;
    client.socket.write(pair.repeat(10_000));
    await honestEvent();
    await Bun.sleep(200);
    client.socket.on("data", (bytes) => {
      client.text += bytes.toString("utf8");
    });
    client.socket.resume();
    await until("all are there", () => client.text.split("\n").length > 20_000);
    const outcomes = client.acks().map(({ ok }) => ok);
    expect(outcomes).toEqual(Array.from({ length: 20_000 }, (_, i) => i % 2 === 1));
  });

  test("lines that never end, on 400 connections, are held up to a limit and others go on", async () => {
    const clients = await Promise.all(Array.from({ length: 400 }, () => hostile()));
    const half = Buffer.alloc(120 * 1024, "x");
    for (let round = 0; round < 2; round += 1) {
      for (const { socket } of clients) socket.write(half);
      await honestEvent();
    }
    await until(
      "those that wait longest are closed",
      () => clients.filter(({ closed }) => closed).length > 200,
    );
    const closed = clients.filter(({ closed }) => closed);
    expect(closed.every(({ text }) => text === "" || text.includes('"UNAVAILABLE"'))).toBe(true);
    expect(closed.filter(({ text }) => text.includes("a line was not finished")).length).toBeGreaterThan(0);
    await honestEvent();
  });

  test("acks that nobody reads stop the reading, on 300 connections, and others go on", async () => {
    const clients = await Promise.all(Array.from({ length: 300 }, () => hostile({ reads: false })));
    // The shortest line with the longest ack.
    for (const { socket } of clients) socket.write(Buffer.alloc(512 * 1024, 10));
    for (let i = 0; i < 20; i += 1) {
      await honestEvent();
      await Bun.sleep(50);
    }
    const { status } = await daemon.api("GET", "/v1/webhooks");
    expect(status).toBe(200);
  });
});

describe("a scanner that floods", () => {
  test("one connection at full speed does not keep another's event waiting for a second", async () => {
    const client = await hostile();
    const block = `${JSON.stringify(scan({ tier: "green", prompt: "x".repeat(300) }))}\n`.repeat(500);
    let flooding = true;
    const flood = (): void => {
      while (flooding && client.socket.write(block));
    };
    client.socket.on("drain", flood);
    flood();
    for (let i = 0; i < 20; i += 1) await honestEvent();
    flooding = false;
    await honestEvent();
  });

  test("200 connections at full speed neither", async () => {
    const clients = await Promise.all(Array.from({ length: 200 }, () => hostile()));
    const block = `${JSON.stringify(scan({ tier: "green", signals: [] }))}\n`.repeat(1_000);
    for (const { socket } of clients) socket.write(block);
    for (let i = 0; i < 5; i += 1) await honestEvent();
    await honestEvent();
  }, 15_000);

  test("lines at the limit of size, pipelined, are all answered", async () => {
    const client = await hostile();
    const line = JSON.stringify(scan({ tier: "green", prompt: "x".repeat(255 * 1024) }));
    for (let i = 0; i < 100; i += 1) client.socket.write(`${line}\n`);
    await until("all are answered", () => client.acks().length === 100);
    expect(client.acks().every(({ ok }) => ok)).toBe(true);
  });
});

interface Crowd {
  open: number;
  refused: number;
  /** Ended without a word of why. */
  dropped: number;
  leave(): void;
}

/** Many connections that are kept open, as raw as they come; the kernel's queue of new ones may be full for a moment. */
async function crowd(size: number, during: (joined: number) => Promise<void>): Promise<Crowd> {
  const self: Crowd = {
    open: 0,
    refused: 0,
    dropped: 0,
    leave: () => {
      for (const socket of sockets) socket.terminate();
    },
  };
  const sockets = new Set<Bun.Socket<{ text: string }>>();
  const join = async (): Promise<void> => {
    try {
      const socket = await Bun.connect<{ text: string }>({
        unix: daemon.socket,
        data: { text: "" },
        socket: {
          data: (it, bytes) => {
            it.data.text += bytes.toString();
          },
          close: (it) => {
            sockets.delete(it);
            self.open -= 1;
            if (it.data.text.includes("too many connections (at most 1024)")) self.refused += 1;
            else self.dropped += 1;
          },
        },
      });
      self.open += 1;
      sockets.add(socket);
    } catch {
      await Bun.sleep(5);
      await join();
    }
  };
  for (let joined = 0; joined < size; joined += 200) {
    await Promise.all(Array.from({ length: 200 }, join));
    await during(joined);
  }
  return self;
}

test("10,000 connections meet a limit that says so, while events, deliveries and the API go on", async () => {
  const delivered = receiver.received.length;
  const many = await crowd(10_000, async (joined) => {
    if (joined % 2_000 !== 0) return;
    await honestEvent();
    expect((await daemon.api("GET", "/health")).status).toBe(200);
    expect(openDescriptors(daemon.pid)).toBeLessThan(MAX_CONNECTIONS + 300);
  });
  await until("all over the limit are refused", () => many.open === MAX_CONNECTIONS - 1);
  expect(many).toMatchObject({ refused: 10_000 - MAX_CONNECTIONS + 1, dropped: 0 });
  expect((await honest.send(scan()))[0]).toMatchObject({ ok: true, deliveries: 1 });
  await until("it is delivered", () => receiver.received.length > delivered);
  many.leave();
  await until("their descriptors are free", () => openDescriptors(daemon.pid) < 100);
  const late = await hostile();
  late.socket.write(`${JSON.stringify(scan({ tier: "green" }))}\n`);
  await until("a new connection is served", () => late.acks().length === 1);
}, 20_000);

test("in all of it the daemon's resident memory stayed under 200 MB, and nothing was a fault of ours", () => {
  expect(peakMemory(daemon.pid)).toBeLessThan(MAX_MEMORY_MIB);
  expect(daemon.log.filter(({ level }) => level === "error")).toEqual([]);
});
