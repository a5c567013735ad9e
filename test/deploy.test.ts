import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import { readFileSync } from "node:fs";
import { join } from "node:path";
import {
  connectScanner,
  LOOPBACK,
  type RunningDaemon,
  removeDir,
  scan,
  startDaemon,
  until,
} from "./support/daemon.ts";
import { startReceiver } from "./support/receiver.ts";

const DEPLOY = join(import.meta.dir, "../deploy");
const alerts = readFileSync(join(DEPLOY, "alerts.yml"), "utf8");
const dashboard = readFileSync(join(DEPLOY, "grafana-dashboard.json"), "utf8");

/** docs/CONTRACT.md, section 5, with the labels. */
const CONTRACTED: Record<string, [type: string, labels: string[]]> = {
  armorhooks_events_total: ["counter", ["tier"]],
  armorhooks_attempts_total: ["counter", ["outcome"]],
  armorhooks_deliveries_finished_total: ["counter", ["status"]],
  armorhooks_attempt_duration_seconds: ["histogram", []],
  armorhooks_event_to_delivery_seconds: ["histogram", []],
  armorhooks_pending_deliveries: ["gauge", []],
  armorhooks_oldest_pending_seconds: ["gauge", []],
  armorhooks_webhooks_disabled_total: ["counter", []],
  armorhooks_socket_connections: ["gauge", []],
};

let daemon: RunningDaemon;
let text: string;
let types: Map<string, string>;
const receiver = startReceiver();

beforeAll(async () => {
  daemon = await startDaemon({ args: LOOPBACK });
  await daemon.api("POST", "/v1/webhooks", { url: `${receiver.url}/secret-path` });
  const scanner = await connectScanner(daemon.socket);
  await scanner.send(scan(), scan({ tier: "green" }), "nonsense");
  await until("it is counted", async () => {
    text = await (await fetch(`${daemon.url}/metrics`)).text();
    return text.includes('deliveries_finished_total{status="delivered"} 1\n');
  });
  scanner.close();
  types = new Map(
    [...text.matchAll(/^# TYPE (\S+) (\S+)$/gm)].map(([, name, type]) => [name ?? "", type ?? ""]),
  );
});
afterAll(async () => {
  await daemon.stop();
  await receiver.stop();
  removeDir(daemon.dir);
});

/** Names of metrics, a histogram's series counted as the histogram. */
function namesIn(source: string): Set<string> {
  const names = source.match(/armorhooks_[a-z_]+/g) ?? [];
  return new Set(names.map((name) => (types.has(name) ? name : name.replace(/_(bucket|sum|count)$/, ""))));
}

describe("GET /metrics", () => {
  test("needs no key and is in the Prometheus form", async () => {
    const answer = await fetch(`${daemon.url}/metrics`);
    expect(answer.status).toBe(200);
    expect(answer.headers.get("content-type")).toMatch(/^text\/plain; version=0\.0\.4/);
    for (const line of text.split("\n")) {
      if (line !== "")
        expect(line).toMatch(/^(# (HELP|TYPE) \S+ .+|[a-z_]+(\{[a-z]+="[^"]*"(,[a-z]+="[^"]*")*\})? \S+)$/);
    }
  });

  test.each(Object.entries(CONTRACTED))("has %s as %p", (name, [type, labels]) => {
    expect(types.get(name)).toBe(type);
    const series = text
      .split("\n")
      .filter((line) => new RegExp(`^${name}(_bucket|_sum|_count)?[{ ]`).test(line));
    expect(series.length).toBeGreaterThan(0);
    for (const line of series) {
      const found = [...line.matchAll(/([a-z]+)="/g)]
        .map(([, label]) => label)
        .filter((label) => label !== "le");
      expect(found).toEqual(labels);
    }
  });

  test("counts what happened, and has every series from the start", () => {
    for (const line of [
      'armorhooks_events_total{tier="red"} 1',
      'armorhooks_events_total{tier="green"} 1',
      'armorhooks_events_total{tier="yellow"} 0',
      'armorhooks_attempts_total{outcome="success"} 1',
      'armorhooks_attempts_total{outcome="blocked_address"} 0',
      'armorhooks_refused_lines_total{code="VALIDATION_ERROR"} 1',
      'armorhooks_event_to_delivery_seconds_bucket{le="+Inf"} 1',
      "armorhooks_webhooks_disabled_total 0",
      "armorhooks_store_writable 1",
    ]) {
      expect(text).toContain(`${line}\n`);
    }
  });

  test("no label carries a URL, a key or an organization", () => {
    for (const secret of ["127.0.0.1", "secret-path", daemon.key, daemon.organizationId]) {
      expect(text).not.toContain(secret);
    }
  });

  test("every metric has help that is a sentence", () => {
    for (const name of types.keys()) expect(text).toMatch(new RegExp(`^# HELP ${name} [A-Z1].*\\.$`, "m"));
  });
});

describe("deploy/", () => {
  test("alerts and dashboard use only metrics that there are", () => {
    for (const source of [alerts, dashboard]) {
      const used = namesIn(source);
      expect(used.size).toBeGreaterThan(3);
      expect([...used].filter((name) => !types.has(name))).toEqual([]);
    }
  });

  test("the dashboard shows every metric that there is", () => {
    const used = namesIn(dashboard);
    expect([...types.keys()].filter((name) => !used.has(name))).toEqual([]);
  });

  test("every label that a query asks for exists", () => {
    const labels = new Set([...text.matchAll(/([a-z]+)="/g)].map(([, label]) => label));
    const asked = [...dashboard.matchAll(/by \(([a-z, ]+)\)/g)].flatMap(
      ([, list]) => list?.split(", ") ?? [],
    );
    expect(asked.length).toBeGreaterThan(3);
    expect(asked.filter((label) => !labels.has(label))).toEqual([]);
  });

  test("the rules are those that an operator needs, each with what to do", () => {
    const rules = (Bun.YAML.parse(alerts) as { groups: { rules: Rule[] }[] }).groups.flatMap(
      ({ rules }) => rules,
    );
    expect(rules.map(({ alert }) => alert)).toEqual([
      "ArmorhooksDown",
      "ArmorhooksStoreCannotWrite",
      "ArmorhooksOldestPendingTooOld",
      "ArmorhooksWebhookDisabled",
      "ArmorhooksFaults",
      "ArmorhooksMostAttemptsFail",
    ]);
    for (const { expr, labels, annotations } of rules) {
      expect(expr).toMatch(/\w/);
      expect(labels.severity).toMatch(/^(critical|warning)$/);
      expect(annotations.summary).toMatch(/\w/);
      expect(annotations.description).toMatch(/\w/);
    }
  });

  interface Rule {
    alert: string;
    expr: string;
    labels: { severity: string };
    annotations: { summary: string; description: string };
  }

  test("the dashboard is whole: ids differ and panels do not overlap", () => {
    const { panels } = JSON.parse(dashboard) as {
      panels: { id: number; gridPos: { x: number; y: number; w: number; h: number }; targets: object[] }[];
    };
    expect(new Set(panels.map(({ id }) => id)).size).toBe(panels.length);
    const cells = panels.flatMap(({ gridPos: { x, y, w, h } }) =>
      Array.from({ length: w * h }, (_, i) => `${x + (i % w)},${y + Math.floor(i / w)}`),
    );
    expect(new Set(cells).size).toBe(cells.length);
    for (const { targets } of panels) expect(targets.length).toBeGreaterThan(0);
  });
});
