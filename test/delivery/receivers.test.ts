import { afterEach, describe, expect, test } from "bun:test";
import {
  connectScanner,
  LOOPBACK,
  type RunningDaemon,
  type Scanner,
  scan,
  startDaemon,
  until,
} from "../support/daemon.ts";
import { atEnd, cleanUp, deliveriesOf, emptyDir, linesOf } from "../support/e2e.ts";
import { type Receiver, startReceiver } from "../support/receiver.ts";

afterEach(cleanUp);

function receive(answer: Receiver["answer"], port = 0): Receiver {
  const receiver = startReceiver(answer, port);
  atEnd(() => receiver.stop());
  return receiver;
}

interface Started {
  daemon: RunningDaemon;
  scanner: Scanner;
  id: string;
}

async function start(
  url: string,
  { args = [], format = "json" }: { args?: string[]; format?: string } = {},
): Promise<Started> {
  const daemon = await startDaemon({ dir: emptyDir(), args: [...LOOPBACK, ...args] });
  atEnd(() => daemon.stop("SIGKILL"));
  const { status, body } = await daemon.api("POST", "/v1/webhooks", { url, format });
  expect(status).toBe(201);
  const scanner = await connectScanner(daemon.socket);
  atEnd(() => scanner.close());
  return { daemon, scanner, id: body.webhook.id };
}

const scans = (count: number, fields = {}) => Array.from({ length: count }, () => scan(fields));
const idOf = ({ headers }: Receiver["received"][number]): string => headers["webhook-id"] as string;

/** Takes one request in so many milliseconds; what is refused is answered with these header fields. */
function limited(milliseconds: number, fields: Record<string, string>, { punishes = 0 } = {}) {
  let last = Number.NEGATIVE_INFINITY;
  let closedUntil = 0;
  let refusedAt = 0;
  const taken: string[] = [];
  let refused = 0;
  let refusedWhileWaiting = 0;
  const receiver = receive((request) => {
    if (request.at < closedUntil || request.at - last < milliseconds) {
      refused += 1;
      // Not those that were under way together with the first that was refused.
      if (request.at < closedUntil && request.at - refusedAt > 50) refusedWhileWaiting += 1;
      if (punishes > 0) closedUntil = request.at + punishes;
      refusedAt = request.at;
      return new Response("slow down", { status: 429, headers: fields });
    }
    last = request.at;
    taken.push(idOf(request));
    return new Response("ok");
  });
  return { receiver, taken, counts: () => ({ refused, refusedWhileWaiting }) };
}

describe("a receiver that asks to wait", () => {
  test("one each half second gets a burst in order, in hardly more than that, refusing hardly any", async () => {
    const { receiver, taken, counts } = limited(500, { "retry-after": "0.5" });
    const { daemon, scanner, id } = await start(receiver.url);
    const began = performance.now();
    const acks = await scanner.send(...scans(20));
    await until("all have arrived", () => taken.length === 20, 25_000);
    expect((performance.now() - began) / 1000).toBeLessThan(19 * 0.5 * 1.2 + 1.5);
    expect(taken).toEqual(acks.map((ack) => ack.id as string));
    expect(counts().refused).toBeLessThanOrEqual(4);
    // What was put off cost no attempt of its budget, is no failure, and can be seen.
    expect((await daemon.api("GET", `/v1/webhooks/${id}`)).body.webhook).toMatchObject({
      enabled: true,
      failure_count: 0,
    });
    const put = (await deliveriesOf(daemon, id)).filter(({ attempt_count }) => attempt_count > 1);
    expect(put.length).toBeLessThanOrEqual(4);
  }, 40_000);

  test("nothing is sent while the time runs that it has asked for", async () => {
    const { receiver, taken, counts } = limited(300, { "retry-after": "2" }, { punishes: 2_000 });
    const { scanner } = await start(receiver.url);
    await scanner.send(...scans(6));
    await until("all have arrived", () => taken.length === 6, 25_000);
    expect(counts().refusedWhileWaiting).toBe(0);
  }, 40_000);

  test("more 429s than a delivery has attempts cost it nothing", async () => {
    const receiver = receive(() => {
      const isLast = receiver.received.length > 8;
      return new Response(null, { status: isLast ? 200 : 429, headers: { "retry-after": "0.05" } });
    });
    const args = ["--retry-attempts", "3", "--retry-min-delay", "2s"];
    const { daemon, scanner } = await start(receiver.url, { args });
    await scanner.send(scan());
    await until("it is delivered", () => linesOf(daemon, "delivery finished").length === 1, 8_000);
    expect(receiver.received).toHaveLength(9);
  }, 20_000);

  test("one that only ever asks to wait is given up after the time that all retries would take", async () => {
    const receiver = receive(() => new Response(null, { status: 429, headers: { "retry-after": "0.1" } }));
    const args = ["--retry-attempts", "2", "--retry-min-delay", "500ms", "--retry-jitter", "false"];
    const { daemon, scanner } = await start(receiver.url, { args });
    await scanner.send(scan());
    await until("it is given up", () => linesOf(daemon, "webhook disabled").length === 1, 10_000);
    expect(receiver.received.length).toBeGreaterThan(3);
  }, 20_000);
});

describe("one bad event", () => {
  test("eight that are refused with 422 hold up none of those that follow", async () => {
    const receiver = receive(
      ({ body }) => new Response(null, { status: body.includes('"risk_score":13') ? 422 : 200 }),
    );
    const { scanner } = await start(receiver.url);
    await scanner.send(...scans(8, { risk_score: 13 }));
    await until("all were refused", () => receiver.received.length >= 8);
    for (let i = 0; i < 3; i += 1) {
      const sent = performance.now();
      const [ack] = await scanner.send(scan());
      await until(
        "the good one arrives",
        () => receiver.received.some((request) => idOf(request) === ack?.id),
        1_000,
      );
      expect(performance.now() - sent).toBeLessThan(1_000);
    }
  }, 20_000);

  test("every fifth answered with 500: the others arrive at once", async () => {
    const receiver = receive(
      ({ body }) => new Response(null, { status: body.includes('"risk_score":13') ? 500 : 200 }),
    );
    const { scanner } = await start(receiver.url);
    const waits: number[] = [];
    for (let i = 0; i < 60; i += 1) {
      const isBad = i % 5 === 0;
      const sent = performance.now();
      const [ack] = await scanner.send(scan({ risk_score: isBad ? 13 : 1 }));
      if (!isBad) {
        await until(
          "it arrives",
          () => receiver.received.some((request) => idOf(request) === ack?.id),
          5_000,
        );
        waits.push(performance.now() - sent);
      }
    }
    expect(Math.max(...waits)).toBeLessThan(1_000);
  }, 30_000);

  test("many in a row, answered with 500: a good one is tried at the first probe", async () => {
    const receiver = receive(
      ({ body }) => new Response(null, { status: body.includes('"risk_score":13') ? 500 : 200 }),
    );
    const { scanner } = await start(receiver.url, { args: ["--retry-min-delay", "1s"] });
    await scanner.send(...scans(40, { risk_score: 13 }));
    await until("it rests", () => receiver.received.length >= 5);
    const [ack] = await scanner.send(scan());
    await until(
      "the good one arrives",
      () => receiver.received.some((request) => idOf(request) === ack?.id),
      3_000,
    );
  }, 20_000);
});

describe("distance", () => {
  test("a receiver that is far away gets many requests at once", async () => {
    let inFlight = 0;
    let most = 0;
    const receiver = receive(async () => {
      inFlight += 1;
      most = Math.max(most, inFlight);
      await Bun.sleep(100);
      inFlight -= 1;
      return new Response("ok");
    });
    const { daemon, scanner } = await start(receiver.url, {
      args: ["--log-level", "error", "--webhook-concurrency", "256", "--concurrency", "1024"],
    });
    await scanner.send(...scans(1_000));
    const began = performance.now();
    await scanner.send(...scans(3_000));
    await until("all have arrived", () => receiver.received.length === 4_000, 20_000);
    expect(most).toBeGreaterThan(100);
    expect(most).toBeLessThanOrEqual(256);
    expect(performance.now() - began).toBeLessThan(8_000);
    await daemon.stop();
  }, 40_000);

  test("one whose answers take longer the more it has gets few", async () => {
    let inFlight = 0;
    let most = 0;
    const receiver = receive(async () => {
      inFlight += 1;
      most = Math.max(most, inFlight);
      await Bun.sleep(5 * inFlight);
      inFlight -= 1;
      return new Response("ok");
    });
    const { scanner } = await start(receiver.url);
    await scanner.send(...scans(600));
    await until("all have arrived", () => receiver.received.length === 600, 20_000);
    expect(most).toBeLessThan(64);
  }, 40_000);
});

test("a receiver that was away gets all within seconds of its return, long before its old retries are due", async () => {
  const first = receive(() => new Response("ok"));
  const { port } = first;
  const { daemon, scanner, id } = await start(first.url);
  await daemon.stop();
  await first.stop();
  const away = await startDaemon({
    dir: daemon.dir,
    key: daemon.key,
    args: [...LOOPBACK, "--retry-min-delay", "2s", "--retry-factor", "100"],
  });
  atEnd(() => away.stop("SIGKILL"));
  scanner.close();
  const present = await connectScanner(away.socket);
  atEnd(() => present.close());
  await present.send(...scans(30));
  await until("it has failed for a while", () => linesOf(away, "attempt made").length >= 4, 20_000);
  const back = receive(() => new Response("ok"), port);
  await until("all have arrived", () => new Set(back.received.map(idOf)).size >= 26, 12_000);
  expect((await away.api("GET", `/v1/webhooks/${id}`)).body.webhook).toMatchObject({ failure_count: 0 });
}, 60_000);

describe("what a receiver has put off for an hour goes at once", () => {
  const HOUR = { status: 429, headers: { "retry-after": "3600" } };

  const putOff = async () => {
    let isLimited = true;
    const former = receive(() => (isLimited ? new Response("", HOUR) : new Response("")));
    const other = receive(() => new Response(""));
    const started = await start(former.url);
    await started.scanner.send(scan());
    await until("it is put off", async () => {
      const [delivery] = await deliveriesOf(started.daemon, started.id);
      return delivery?.attempt_count === 1;
    });
    isLimited = false;
    const change = async (body: object) => {
      const { status } = await started.daemon.api("PATCH", `/v1/webhooks/${started.id}`, body);
      expect(status).toBe(200);
    };
    return { ...started, former, other, change };
  };

  test("when its webhook gets another URL", async () => {
    const { other, scanner, change } = await putOff();
    await change({ url: other.url });
    await scanner.send(scan());
    await until("both have arrived", () => other.received.length === 2, 3_000);
  });

  test("when its webhook is turned off and on again", async () => {
    const { former, scanner, change } = await putOff();
    await change({ enabled: false });
    await change({ enabled: true });
    await scanner.send(scan());
    await until("both have arrived", () => former.received.length === 3, 3_000);
  });

  test("with another URL also by the daemon after this one", async () => {
    const { daemon, other, change } = await putOff();
    await change({ url: other.url });
    await daemon.stop("SIGKILL");
    const { dir, key, organizationId } = daemon;
    const after = await startDaemon({ dir, key, organizationId, args: LOOPBACK });
    atEnd(() => after.stop("SIGKILL"));
    await until("it has arrived", () => other.received.length >= 1, 3_000);
  });
});
