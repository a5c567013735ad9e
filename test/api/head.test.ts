import { afterAll, beforeAll, expect, test } from "bun:test";
import { type RunningDaemon, removeDir, startDaemon } from "../support/daemon.ts";
import { exchange, parseAnswers, type RawAnswer } from "../support/raw-http.ts";

let daemon: RunningDaemon;
let webhookId: string;

beforeAll(async () => {
  daemon = await startDaemon();
  const { body } = await daemon.api("POST", "/v1/webhooks", { url: "https://example.com/hook" });
  webhookId = body.webhook.id;
});

afterAll(async () => {
  await daemon.stop();
  removeDir(daemon.dir);
});

async function ask(method: string, path: string, key = daemon.key): Promise<RawAnswer> {
  const authorization = key === "" ? "" : `authorization: Bearer ${key}\r\n`;
  const request = `${method} ${path} HTTP/1.1\r\nhost: localhost\r\n${authorization}connection: close\r\n\r\n`;
  const [answer] = parseAnswers(await exchange(Number(new URL(daemon.url).port), request));
  if (!answer) throw new Error(`no answer to ${method} ${path}`);
  return answer;
}

/** What differs between any two answers, the same method or not. */
const OWN = ["date", "x-request-id", "x-ratelimit-remaining", "x-ratelimit-reset"];

function fieldsOf({ headers }: RawAnswer) {
  return Object.fromEntries(
    Object.entries(headers).map(([name, value]) => [name, OWN.includes(name) ? "…" : value]),
  );
}

const paths = {
  "/health": 200,
  "/swagger": 200,
  "/swagger/json": 200,
  "/swagger/swagger-ui.css": 200,
  "/v1/webhooks": 200,
  "/v1/webhooks/:id": 200,
  "/v1/webhooks/:id/": 200,
  "/v1/webhooks/:id/deliveries?limit=1": 200,
  "/v1/webhooks/:id/deliveries?limit=0": 400,
  "/v1/webhooks/absent": 404,
  "/absent": 404,
};

test.each(Object.entries(paths))(
  "HEAD %s has the status and the fields of GET, and no body",
  async (path, status) => {
    const at = path.replace(":id", webhookId);
    const [get, head] = [await ask("GET", at), await ask("HEAD", at)];
    expect(head.status).toBe(status);
    expect(get.status).toBe(status);
    expect(head.body).toBe("");
    expect(fieldsOf(head)).toEqual(fieldsOf(get));
    expect(Number(head.headers["content-length"])).toBe(Buffer.byteLength(get.body));
  },
);

test("HEAD /metrics has the status and the fields of GET, but for a length that changes", async () => {
  const [get, head] = [await ask("GET", "/metrics"), await ask("HEAD", "/metrics")];
  expect(head).toMatchObject({ status: 200, body: "" });
  expect(Object.keys(head.headers).sort()).toEqual(Object.keys(get.headers).sort());
});

test("HEAD counts against the key's limit once", async () => {
  const before = await ask("GET", "/v1/webhooks");
  const after = await ask("HEAD", "/v1/webhooks");
  const left = (answer: RawAnswer) => Number(answer.headers["x-ratelimit-remaining"]);
  expect(left(after)).toBe(left(before) - 1);
});

test("HEAD without a key is refused as GET is", async () => {
  const [get, head] = [await ask("GET", "/v1/webhooks", ""), await ask("HEAD", "/v1/webhooks", "")];
  expect(head).toMatchObject({ status: 401, body: "" });
  expect(fieldsOf(head)).toEqual(fieldsOf(get));
});

test("HEAD on a path that has no GET is 405, and says what there is", async () => {
  const head = await ask("HEAD", `/v1/webhooks/${webhookId}/test`);
  expect(head).toMatchObject({ status: 405, body: "" });
  expect(head.headers["allow"]).toBe("POST");
  expect((await ask("DELETE", "/health")).headers["allow"]).toBe("GET, HEAD");
});
