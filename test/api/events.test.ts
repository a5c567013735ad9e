import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import {
  connectScanner,
  LOOPBACK,
  type RunningDaemon,
  removeDir,
  type Scanner,
  scan,
  startDaemon,
  until,
} from "../support/daemon.ts";
import { type Receiver, startReceiver } from "../support/receiver.ts";
import { newKey, newTenant, type Tenant } from "../support/tenants.ts";

let daemon: RunningDaemon;
let tenant: Tenant;
let other: Tenant;
let scanner: Scanner;
let receiver: Receiver;
let webhookId: string;

beforeAll(async () => {
  receiver = startReceiver();
  daemon = await startDaemon({ args: [...LOOPBACK, "--retry-attempts", "1"] });
  tenant = await newKey(daemon, daemon.organizationId);
  other = await newTenant(daemon, "other");
  scanner = await connectScanner(daemon.socket);
  webhookId = (await tenant.api("POST", "/v1/webhooks", { url: receiver.url })).body.webhook.id;
});
afterAll(async () => {
  scanner.close();
  await daemon.stop();
  await receiver.stop();
  removeDir(daemon.dir);
});

const send = async (fields: object, by = tenant): Promise<string> => {
  const [ack] = await scanner.send(scan({ organization_id: by.organizationId, ...fields }));
  return ack?.id as string;
};
const list = async (query: string, by = tenant) => (await by.api("GET", `/v1/events?${query}`)).body;
const idsOf = (body: { events: { id: string }[] }) => body.events.map(({ id }) => id);

describe("GET /v1/events", () => {
  test("lists events newest first, those that nobody subscribed to too, and nobody else's", async () => {
    const red = await send({ id: "scan-1" });
    const green = await send({ tier: "green", action: "allow", risk_score: 1, signals: [] });
    await send({}, other);
    const { status, body } = await tenant.api("GET", "/v1/events");
    expect(status).toBe(200);
    expect(body).toEqual({
      events: [
        {
          id: green,
          external_id: null,
          event: "green_tier",
          received_at: expect.stringMatching(/^\d{4}-.*\.\d{3}Z$/),
          payload: {
            event: "green_tier",
            tier: "green",
            action: "allow",
            risk_score: 1,
            signals: [],
            latency_ms: 8,
            timestamp: "2026-01-15T10:00:00.000Z",
          },
          deliveries: 0,
        },
        expect.objectContaining({ id: red, external_id: "scan-1", event: "red_tier", deliveries: 1 }),
      ],
      next_cursor: null,
    });
    expect((await list("", other)).events).toHaveLength(1);
  });

  test("finds events by tier and by the scanner's id", async () => {
    const yellow = await send({ tier: "yellow", id: "scan 2 ß" });
    expect(idsOf(await list("tier=yellow"))).toEqual([yellow]);
    expect((await list("tier=red")).events).toHaveLength(1);
    const query = `external_id=${encodeURIComponent("scan 2 ß")}`;
    expect(await list(query)).toMatchObject({ events: [{ id: yellow }], next_cursor: null });
    expect(idsOf(await list(`${query}&tier=yellow`))).toEqual([yellow]);
    expect(idsOf(await list(`${query}&tier=red`))).toEqual([]);
    expect(idsOf(await list(query, other))).toEqual([]);
    expect(idsOf(await list("external_id=unknown"))).toEqual([]);
  });

  test("goes on page by page, while events are added, by tier too", async () => {
    const all = await list("limit=100");
    const [newest] = idsOf(all);
    const pages: string[] = [];
    let cursor: string | null = null;
    do {
      const page = await list(`limit=2${cursor === null ? "" : `&cursor=${cursor}`}`);
      pages.push(...idsOf(page));
      cursor = page.next_cursor;
      await send({ tier: "green" });
    } while (cursor !== null);
    expect(pages).toEqual(idsOf(all));
    expect(pages[0]).toBe(newest as string);
    const green = await list("tier=green&limit=1");
    expect(green.next_cursor).toBe(green.events[0].id);
  });

  test.each([
    ["tier=purple", "tier must be one of red, yellow, green"],
    ["limit=0", "limit must be"],
    ["limit=101", "limit must be"],
    ["cursor=x", "cursor must be"],
    ["external_id=", "external_id must be"],
    ["external_id=a%00b", "a query parameter must not contain NUL"],
    ["order=asc&sort=id", "unknown query parameters order, sort"],
    ["status=failed", "unknown query parameter status"],
  ])("refuses ?%s", async (query, message) => {
    const { status, body } = await tenant.api("GET", `/v1/events?${query}`);
    expect(status).toBe(400);
    expect(body.error.message).toContain(message);
  });
});

describe("GET /v1/events/:id", () => {
  test("answers an event with its deliveries", async () => {
    const id = await send({ id: "scan-3" });
    await until("it is delivered", async () => {
      const { body } = await tenant.api("GET", `/v1/events/${id}`);
      return body.deliveries[0].status === "delivered";
    });
    const { body } = await tenant.api("GET", `/v1/events/${id}`);
    expect(Object.keys(body)).toEqual(["event", "deliveries"]);
    expect(body.event).toMatchObject({ id, external_id: "scan-3", deliveries: 1 });
    expect(body.deliveries).toMatchObject([{ event_id: id, webhook_id: webhookId, status: "delivered" }]);
    const { body: delivery } = await tenant.api("GET", `/v1/deliveries/${body.deliveries[0].id}`);
    expect(delivery.delivery).toMatchObject(body.deliveries[0]);
  });

  test("is 404 for what is not there, and for another organization's", async () => {
    const id = await send({});
    for (const path of [id, "x", "019bc0f6-5bff-7000-9d3a-52c8f1d7a460"]) {
      const { status, body } = await other.api("GET", `/v1/events/${path}`);
      expect({ status, message: body.error.message }).toEqual({ status: 404, message: "no such event" });
    }
  });
});

describe("GET /v1/stats", () => {
  test("counts attempts and what ended, in one point a step, without gaps", async () => {
    const url = `${receiver.url}/stats`;
    const { id } = (await tenant.api("POST", "/v1/webhooks", { url, events: ["yellow_tier"] })).body.webhook;
    await send({ tier: "yellow" });
    await until("one is there", () => receiver.received.some(({ path }) => path.endsWith("/stats")));
    receiver.answer = () => new Response("", { status: 500 });
    const failing = await send({ tier: "yellow" });
    await until("one has failed", async () => {
      const { body } = await tenant.api("GET", `/v1/events/${failing}`);
      return body.deliveries[0].status === "failed";
    });
    receiver.answer = () => new Response("ok");
    const { status, body } = await tenant.api("GET", `/v1/stats?webhook_id=${id}`);
    expect(status).toBe(200);
    expect(body.step_seconds).toBe(60);
    expect(Date.parse(body.to) - Date.parse(body.from)).toBe(3_600_000);
    expect(Date.parse(body.to)).toBeGreaterThan(Date.now());
    expect(body.webhooks).toHaveLength(1);
    const [{ webhook_id, points }] = body.webhooks;
    expect(webhook_id).toBe(id);
    expect(points.map(({ at }: { at: string }) => Date.parse(at))).toEqual(
      Array.from({ length: 60 }, (_, i) => Date.parse(body.from) + i * 60_000),
    );
    const sum = (name: string) => points.reduce((total: number, point: never) => total + point[name], 0);
    expect({ attempts: sum("attempts"), delivered: sum("delivered"), failed: sum("failed") }).toEqual({
      attempts: 2,
      delivered: 1,
      failed: 1,
    });
    const latest = points.findLast((point: { attempts: number }) => point.attempts > 0);
    expect(latest.p50_ms).toBeNumber();
    expect(latest.p99_ms).toBeGreaterThanOrEqual(latest.p50_ms);
    expect(points[0]).toEqual({
      at: body.from,
      attempts: 0,
      delivered: 0,
      failed: 0,
      p50_ms: null,
      p99_ms: null,
    });
  });

  test("without a webhook's id has all of the organization's, newest first", async () => {
    const { body } = await tenant.api("GET", "/v1/stats?minutes=1440");
    expect(body.step_seconds).toBe(600);
    const { webhooks } = (await tenant.api("GET", "/v1/webhooks")).body;
    expect(body.webhooks.map((one: { webhook_id: string }) => one.webhook_id)).toEqual(
      webhooks.map(({ id }: { id: string }) => id),
    );
    for (const { points } of body.webhooks) expect(points).toHaveLength(144);
    expect((await other.api("GET", "/v1/stats")).body.webhooks).toEqual([]);
  });

  test("is 404 for a webhook that is not there, and refuses minutes that are not", async () => {
    expect((await other.api("GET", `/v1/stats?webhook_id=${webhookId}`)).status).toBe(404);
    for (const minutes of ["0", "1441", "1.5", "x", "-1"]) {
      const { status, body } = await tenant.api("GET", `/v1/stats?minutes=${minutes}`);
      expect({ status, message: body.error.message }).toEqual({
        status: 400,
        message: "minutes must be a whole number from 1 to 1440",
      });
    }
  });
});
