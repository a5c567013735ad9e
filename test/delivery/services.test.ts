import { afterEach, expect, test } from "bun:test";
import { hostname } from "node:os";
import { dedupKey } from "../../src/delivery/formats/dedup-key.ts";
import { connectScanner, LOOPBACK, scan, startDaemon, until } from "../support/daemon.ts";
import { atEnd, cleanUp, emptyDir } from "../support/e2e.ts";
import { startReceiver } from "../support/receiver.ts";
import { KEY, red } from "../support/scan-samples.ts";

afterEach(cleanUp);

test("a daemon's requests say what each service needs to know", async () => {
  const receiver = startReceiver();
  atEnd(receiver.stop);
  const daemon = await startDaemon({ dir: emptyDir(), args: LOOPBACK });
  atEnd(() => daemon.stop("SIGKILL"));
  const register = async (format: string, path: string) => {
    const url = `http://127.0.0.1:${receiver.port}${path}`;
    expect((await daemon.api("POST", "/v1/webhooks", { url, format })).status).toBe(201);
  };
  await register("discord", "/discord?thread_id=%20");
  await register("pagerduty", `/pagerduty?routing_key=${KEY}&a=%20`);

  const scanner = await connectScanner(daemon.socket);
  const { action, signals, timestamp } = red;
  const scans = [50, 99].map((risk_score) => scan({ action, signals, timestamp, risk_score }));
  expect(await scanner.send(...scans)).toMatchObject([{ deliveries: 2 }, { deliveries: 2 }]);
  await until("all have arrived", () => receiver.received.length === 4);
  scanner.close();

  const paths = receiver.received.map(({ path }) => path).sort();
  const [discord, pagerduty] = ["/discord?thread_id=%20&wait=true", "/pagerduty?a=%20"];
  expect(paths).toEqual([discord, discord, pagerduty, pagerduty] as string[]);
  const alerts = receiver.received
    .filter(({ path }) => path === pagerduty)
    .map(({ body }) => JSON.parse(body));
  const same = dedupKey(red, "", daemon.organizationId);
  expect(alerts.map((alert) => alert.dedup_key)).toEqual([same, same]);
  expect(alerts.map((alert) => alert.payload.source)).toEqual([hostname(), hostname()]);
});
