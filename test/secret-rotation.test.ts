import { afterAll, beforeAll, expect, test } from "bun:test";
import { Webhook } from "standardwebhooks";
import {
  connectScanner,
  LOOPBACK,
  type RunningDaemon,
  removeDir,
  type Scanner,
  scan,
  startDaemon,
  until,
} from "./support/daemon.ts";
import { type Received, startReceiver } from "./support/receiver.ts";

let daemon: RunningDaemon;
let scanner: Scanner;

beforeAll(async () => {
  daemon = await startDaemon({ args: [...LOOPBACK, "--retry-min-delay", "200ms"] });
  scanner = await connectScanner(daemon.socket);
});
afterAll(async () => {
  scanner.close();
  await daemon.stop();
  removeDir(daemon.dir);
});

async function newWebhook() {
  const receiver = startReceiver();
  const { id, secret } = (await daemon.api("POST", "/v1/webhooks", { url: receiver.url })).body.webhook;
  const next = async (): Promise<Received> => {
    const before = receiver.received.length;
    await scanner.send(scan());
    await until("it came", () => receiver.received.length > before);
    return receiver.received.at(-1) as Received;
  };
  const end = async () => {
    await daemon.api("DELETE", `/v1/webhooks/${id}`);
    await receiver.stop();
  };
  const rotate = (body?: object) => daemon.api("POST", `/v1/webhooks/${id}/rotate-secret`, body);
  return { id, secret: secret as string, receiver, next, end, rotate };
}

function verifies(secret: string, { body, headers }: Received): boolean {
  try {
    new Webhook(secret).verify(body, headers);
    return true;
  } catch {
    return false;
  }
}

function signatures({ headers }: Received): string[] {
  return headers["webhook-signature"]?.split(" ") ?? [];
}

test("during the overlap requests carry both signatures, and a receiver with either secret is content", async () => {
  const { id, secret, next, end, rotate } = await newWebhook();
  expect(signatures(await next())).toHaveLength(1);
  const { status, headers, body } = await rotate({ overlap_seconds: 60 });
  const renewed: string = body.webhook.secret;
  expect(status).toBe(200);
  expect(headers.get("cache-control")).toBe("no-store");
  expect(body.webhook.id).toBe(id);
  expect(renewed).toMatch(/^[0-9a-f]{64}$/);
  expect(renewed).not.toBe(secret);
  const request = await next();
  expect(signatures(request)).toHaveLength(2);
  expect(new Set(signatures(request)).size).toBe(2);
  expect([verifies(secret, request), verifies(renewed, request)]).toEqual([true, true]);
  expect(verifies("00".repeat(32), request)).toBe(false);
  await end();
});

test("after the overlap only the new secret verifies, without anybody's doing", async () => {
  const { secret, next, end, rotate } = await newWebhook();
  const renewed = (await rotate({ overlap_seconds: 1 })).body.webhook.secret;
  expect(signatures(await next())).toHaveLength(2);
  await Bun.sleep(1_050);
  const request = await next();
  expect(signatures(request)).toHaveLength(1);
  expect([verifies(secret, request), verifies(renewed, request)]).toEqual([false, true]);
  await end();
});

test("an overlap of 0 ends the old secret at once; without a body it is a day", async () => {
  const { secret, next, end, rotate } = await newWebhook();
  const renewed = (await rotate({ overlap_seconds: 0 })).body.webhook.secret;
  const alone = await next();
  expect([verifies(secret, alone), verifies(renewed, alone)]).toEqual([false, true]);
  expect((await rotate()).status).toBe(200);
  const both = await next();
  expect(signatures(both)).toHaveLength(2);
  expect(verifies(renewed, both)).toBe(true);
  await end();
});

test("rotations within an overlap cut nobody off; the fourth is refused and says until when", async () => {
  const { secret, next, end, rotate } = await newWebhook();
  const second = (await rotate({ overlap_seconds: 3_600 })).body.webhook.secret;
  const third = (await rotate()).body.webhook.secret;
  const before = Date.now();
  const fourth = (await rotate({ overlap_seconds: 60 })).body.webhook.secret;
  const request = await next();
  expect(signatures(request)).toHaveLength(4);
  const all = [secret, second, third, fourth];
  expect(all.map((each) => verifies(each, request))).toEqual([true, true, true, true]);

  const { status, body } = await rotate();
  expect({ status, code: body.error.code }).toEqual({ status: 409, code: "CONFLICT" });
  const until = Date.parse(/after (\S+Z)/.exec(body.error.message)?.[1] ?? "");
  expect(until).toBeWithin(before + 60_000, Date.now() + 60_001);

  // Without an overlap the present secret goes, and there is room.
  const fifth = (await rotate({ overlap_seconds: 0 })).body.webhook.secret;
  const last = await next();
  expect([...all, fifth].map((each) => verifies(each, last))).toEqual([true, true, true, false, true]);
  await end();
});

test("each rotated secret counts until its own overlap ends", async () => {
  const { secret, next, end, rotate } = await newWebhook();
  const second = (await rotate({ overlap_seconds: 60 })).body.webhook.secret;
  const third = (await rotate({ overlap_seconds: 1 })).body.webhook.secret;
  expect(signatures(await next())).toHaveLength(3);
  await Bun.sleep(1_050);
  const request = await next();
  expect([secret, second, third].map((each) => verifies(each, request))).toEqual([true, false, true]);
  await end();
});

test("a retry after a rotation is signed with the new secret too", async () => {
  const { receiver, end, rotate, secret } = await newWebhook();
  const first = Promise.withResolvers<void>();
  receiver.answer = () => {
    first.resolve();
    return new Response("", { status: 503, headers: { "retry-after": "1" } });
  };
  await scanner.send(scan());
  await first.promise;
  receiver.answer = () => new Response("ok");
  const renewed = (await rotate()).body.webhook.secret;
  await until("the retry came", () => receiver.received.length === 2);
  const [before, after] = receiver.received as [Received, Received];
  expect(after.headers["webhook-id"]).toBe(before.headers["webhook-id"] as string);
  expect([verifies(secret, before), verifies(renewed, before)]).toEqual([true, false]);
  expect([verifies(secret, after), verifies(renewed, after)]).toEqual([true, true]);
  await end();
});

test.each([-1, 604_801, 1.5, "60"])("an overlap of %p is refused and changes nothing", async (overlap) => {
  const { secret, next, end, rotate } = await newWebhook();
  const { status, body } = await rotate({ overlap_seconds: overlap });
  expect(status).toBe(400);
  expect(body.error).toMatchObject({
    code: "VALIDATION_ERROR",
    message: expect.stringContaining("overlap_seconds"),
  });
  const request = await next();
  expect(signatures(request)).toHaveLength(1);
  expect(verifies(secret, request)).toBe(true);
  await end();
});

test("a rotation survives a restart in the middle of its overlap", async () => {
  const own = await startDaemon({ args: LOOPBACK });
  const receiver = startReceiver();
  const { id, secret } = (await own.api("POST", "/v1/webhooks", { url: receiver.url })).body.webhook;
  const renewed = (await own.api("POST", `/v1/webhooks/${id}/rotate-secret`)).body.webhook.secret;
  await own.stop("SIGKILL");
  const again = await startDaemon({ dir: own.dir, args: LOOPBACK, key: own.key });
  const connection = await connectScanner(again.socket);
  await connection.send(scan());
  await until("it came", () => receiver.received.length === 1);
  const request = receiver.received[0] as Received;
  expect([verifies(secret, request), verifies(renewed, request)]).toEqual([true, true]);
  connection.close();
  await again.stop();
  await receiver.stop();
  removeDir(own.dir);
});
