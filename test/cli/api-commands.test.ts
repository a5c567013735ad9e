import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import {
  connectScanner,
  LOOPBACK,
  program,
  type RunningDaemon,
  removeDir,
  request,
  runCommand,
  scan,
  startDaemon,
  until,
} from "../support/daemon.ts";
import { type Receiver, startReceiver } from "../support/receiver.ts";
import { newKey } from "../support/tenants.ts";

let daemon: RunningDaemon;
let receiver: Receiver;
let env: Record<string, string>;

beforeAll(async () => {
  receiver = startReceiver();
  daemon = await startDaemon({ args: LOOPBACK });
  const { key } = await newKey(daemon, daemon.organizationId);
  env = { ARMORHOOKS_KEY: key, ARMORHOOKS_URL: daemon.url };
});
afterAll(async () => {
  await daemon.stop();
  await receiver.stop();
  removeDir(daemon.dir);
});

const run = (...args: string[]) => runCommand(args, { env });
const json = async (...args: string[]) => {
  const { stdout, stderr, code } = await run(...args, "--json");
  expect({ stderr, code }).toEqual({ stderr: "", code: 0 });
  return JSON.parse(stdout);
};

/** Starts a command that goes on, and gathers what it prints. */
function startCommand(...args: string[]) {
  const child = Bun.spawn([...program(false), ...args], {
    env: { ...process.env, ...env, NO_COLOR: "1" },
    stdout: "pipe",
    stderr: "pipe",
  });
  const printed = { out: "", err: "" };
  const gather = async (stream: ReadableStream<Uint8Array>, into: "out" | "err") => {
    for await (const bytes of stream) printed[into] += new TextDecoder().decode(bytes);
  };
  const done = Promise.all([gather(child.stdout, "out"), gather(child.stderr, "err")]);
  return {
    printed,
    async stop() {
      child.kill("SIGINT");
      const code = await child.exited;
      await done;
      return code;
    },
  };
}

describe("armorhooks webhook", () => {
  test("creates, lists, updates, tests and deletes, and prints what the API answers", async () => {
    const options = [
      "--events",
      "red,yellow_tier",
      "--format",
      "slack",
      "--name",
      "on call",
      "--group",
      "false",
    ];
    const more = [
      "--min-risk-score",
      "80",
      "--actions",
      "block,flag",
      "--domains",
      "pii",
      "--rate-limit",
      "60",
    ];
    const headers = ["--header", "authorization: Bearer x:y", "--header", "x-team:blue"];
    const { webhook } = await json("webhook", "create", receiver.url, ...options, ...more, ...headers);
    const shown = {
      url: receiver.url,
      events: ["red_tier", "yellow_tier"],
      format: "slack",
      name: "on call",
      group: false,
      filter: { min_risk_score: 80, actions: ["block", "flag"], domains: ["pii"] },
      rate_limit_per_minute: 60,
      headers: { authorization: "***", "x-team": "***" },
    };
    expect(webhook).toMatchObject({ ...shown, secret: expect.stringMatching(/^[0-9a-f]{64}$/) });
    expect((await json("webhook", "list")).webhooks).toMatchObject([{ id: webhook.id, ...shown }]);
    expect(await json("webhook", "test", webhook.id)).toEqual({ success: true, status: 200 });

    const unset = ["--unset", "name,filter,rate_limit_per_minute,group,headers"];
    const { webhook: updated } = await json(
      "webhook",
      "update",
      webhook.id,
      "--disable",
      "--events",
      "green",
      ...unset,
    );
    expect(updated).toMatchObject({ enabled: false, events: ["green_tier"] });
    for (const name of ["name", "filter", "rate_limit_per_minute", "group", "headers"]) {
      expect(updated).not.toHaveProperty(name);
    }
    const { webhook: moved } = await json(
      "webhook",
      "update",
      webhook.id,
      "--enable",
      "--target",
      `${receiver.url}/x`,
    );
    expect(moved).toMatchObject({ enabled: true, url: `${receiver.url}/x` });
    expect(await json("webhook", "delete", webhook.id)).toEqual({ deleted: true });
    expect((await json("webhook", "list")).webhooks).toEqual([]);
  }, 20_000);

  test("prints for people: the secret once, hosts only, and how a test failed", async () => {
    const made = await run("webhook", "create", `${receiver.url}/secret-path`, "--name", "mine");
    const [, id = ""] = /^webhook (\S+)\nsecret {2}[0-9a-f]{64}\n/.exec(made.stdout) ?? [];
    const listed = (await run("webhook", "list")).stdout;
    expect(listed).toMatch(new RegExp(`${id} +mine +127\\.0\\.0\\.1:\\d+ +red +json +enabled +never`));
    expect(listed).not.toContain("secret-path");
    receiver.answer = () => new Response("", { status: 500 });
    expect(await run("webhook", "test", id)).toEqual({
      code: 1,
      stdout: "",
      stderr: "armorhooks: Endpoint responded with status 500\n",
    });
    receiver.answer = () => new Response("ok");
    expect((await run("webhook", "delete", id)).stdout).toBe(`webhook ${id} is deleted\n`);
  }, 20_000);

  test.each<[string[], number, RegExp]>([
    [["webhook", "create", "ftp://example.com/"], 1, /url must be an/],
    [["webhook", "delete", "absent"], 1, /no such webhook/],
    [["webhook", "create", "https://example.com/", "--events", "purple"], 2, /red, yellow and green/],
    [["webhook", "create", "https://example.com/", "--header", "none"], 2, /name: value/],
    [["webhook", "update", "x", "--unset", "group,name", "--name", "a"], 2, /--unset name and a value/],
    [["webhook", "update", "x", "--unset", "filter", "--min-risk-score", "1"], 2, /--unset filter and/],
    [["webhook", "update", "x", "--unset", "url"], 2, /list of name, filter/],
    [["webhook", "update", "x"], 2, /say what to change/],
    [["webhook", "update", "x", "--enable", "--disable"], 2, /cannot both/],
    [["webhook", "list", "--key", "ia_sk_no"], 1, /unknown, disabled or expired/],
    [
      ["webhook", "list", "--url", "http://127.0.0.1:1"],
      1,
      /127\.0\.0\.1:1.*: check --url \(ARMORHOOKS_URL\)/,
    ],
    [["webhook", "list", "--url", "nowhere"], 2, /^armorhooks: --url \(ARMORHOOKS_URL\) must be an http/],
    [["webhook", "list", "--key", "ü"], 2, /^armorhooks: The API key of --key \(ARMORHOOKS_KEY\) is/],
    [["tail", "--url", "http://127.0.0.1:1"], 1, /127\.0\.0\.1:1/],
    [["listen", "--secret", "short"], 2, /64 hex digits/],
    [["listen", "--answer", "99"], 2, /200 to 599/],
  ])("%j ends with %d and says why in a line", async (args, code, says) => {
    const answer = await run(...args);
    expect({ code: answer.code, stdout: answer.stdout }).toEqual({ code, stdout: "" });
    expect(answer.stderr).toMatch(says);
  });

  test("with --json, what the API refuses is printed as it answered, and nothing else", async () => {
    const refusals: [string[], string][] = [
      [["webhook", "create", "ftp://example.com/"], "VALIDATION_ERROR"],
      [["webhook", "update", crypto.randomUUID(), "--enable"], "NOT_FOUND"],
      [["webhook", "test", "absent"], "NOT_FOUND"],
      [["webhook", "delete", "absent"], "NOT_FOUND"],
      [["webhook", "list", "--key", `ia_sk_${"0".repeat(48)}`], "AUTHENTICATION_ERROR"],
      [["tail", "--key", `ia_sk_${"0".repeat(48)}`], "AUTHENTICATION_ERROR"],
    ];
    for (const [args, code] of refusals) {
      const answer = await run(...args, "--json");
      expect([args, answer.code, answer.stderr]).toEqual([args, 1, ""]);
      expect(JSON.parse(answer.stdout)).toStrictEqual({
        error: { code, message: expect.any(String), request_id: expect.stringMatching(/^req_/) },
      });
    }
    const body = { url: "ftp://example.com/" };
    const { ARMORHOOKS_KEY: key = "" } = env;
    const direct = await request(daemon.url, key, "POST", "/v1/webhooks", body);
    const printed = JSON.parse((await run("webhook", "create", body.url, "--json")).stdout);
    expect(printed.error.message).toBe((direct.body as typeof printed).error.message);
  }, 20_000);

  test("with --json, what is not from the API is a line on standard error as ever, and an object too", async () => {
    const page = startReceiver(() => new Response("<h1>nothing here</h1>", { status: 404 }));
    for (const url of [page.url, "http://127.0.0.1:1"]) {
      const answer = await run("webhook", "list", "--url", new URL(url).origin, "--json");
      const [, message] = /^armorhooks: (.+)\n$/.exec(answer.stderr) ?? [];
      expect([answer.code, JSON.parse(answer.stdout)]).toEqual([1, { error: { message } }]);
    }
    await page.stop();
  });

  test("asks for a key where there is none", async () => {
    const { code, stderr } = await runCommand(["webhook", "list"]);
    expect(code).toBe(2);
    expect(stderr).toContain("ARMORHOOKS_KEY");
  });
});

describe("armorhooks listen and tail", () => {
  test("print what is received, whether its signature is valid, and what happened", async () => {
    const tail = startCommand("tail", "--json");
    const people = startCommand("tail");
    const made = await json("webhook", "create", "http://127.0.0.1:1/");
    const right = startCommand("listen", "--port", "0", "--json", "--secret", made.webhook.secret);
    const wrong = startCommand("listen", "--port", "0", "--answer", "503", "--secret", "0".repeat(64));
    const addressOf = async ({ printed }: typeof right) => {
      await until("it listens", () => printed.err.includes("listening on"));
      return /http:\/\/\S+\d/.exec(printed.err)?.[0] as string;
    };
    await json("webhook", "update", made.webhook.id, "--target", `${await addressOf(right)}/hook?a=1`);
    const scanner = await connectScanner(daemon.socket);
    const [ack] = await scanner.send(scan({ id: "scan-9" }));
    await until("it was received", () => right.printed.out.endsWith("\n"));
    expect(JSON.parse(right.printed.out)).toMatchObject({
      method: "POST",
      path: "/hook?a=1",
      signature: "valid",
      headers: { "webhook-id": ack?.id },
      age_seconds: expect.any(Number),
    });
    await json("webhook", "update", made.webhook.id, "--target", await addressOf(wrong));
    expect((await run("webhook", "test", made.webhook.id)).code).toBe(1);
    await until("it was received", () => wrong.printed.out.includes("INVALID"));
    expect(wrong.printed.out).toContain('"event":"test"');
    await until("the end is told", () => tail.printed.out.includes('"delivery"'));
    const told = tail.printed.out
      .trim()
      .split("\n")
      .map((line) => JSON.parse(line));
    const delivery = told.find(({ type }) => type === "delivery");
    expect(delivery.data).toMatchObject({
      event_id: ack?.id,
      webhook_id: made.webhook.id,
      status: "delivered",
    });
    await until("people are told too", () => people.printed.out.includes("delivered after 1 attempt"));
    expect(people.printed.out).toContain("(scan-9)  red_tier  1 delivery");
    expect(await Promise.all([tail, people, right, wrong].map((one) => one.stop()))).toEqual([0, 0, 0, 0]);
    scanner.close();
  }, 30_000);
});
