import { expect } from "bun:test";
import { parseProxy } from "../../src/delivery/http/proxy.ts";
import { createTransport, type TransportOptions } from "../../src/delivery/http/transport.ts";
import type { Resolve } from "../../src/delivery/resolver.ts";
import { type AttemptResult, createSender } from "../../src/delivery/send.ts";
import { createTargetGuard, parseCidr } from "../../src/delivery/target-guard.ts";
import type { WebhookFormat } from "../../src/formats.ts";
import { BODY } from "../store/seed.ts";
import { atEnd } from "./e2e.ts";

export interface TestSenderOptions extends Partial<TransportOptions> {
  resolve?: Resolve;
  timeoutMs?: number;
  proxy?: string;
  networks?: readonly string[];
}

/** Makes attempts as the daemon does, to receivers on loopback; its connections are kept until the test ends. */
export function testSender(
  options: TestSenderOptions = {},
): (url: string, format?: WebhookFormat) => Promise<AttemptResult> {
  const {
    resolve = async () => [],
    timeoutMs = 2_000,
    networks = ["127.0.0.0/8", "::1"],
    proxy,
    ...rest
  } = options;
  const transport = createTransport({ ca: null, ...rest });
  atEnd(transport.close);
  const sender = createSender({
    guard: createTargetGuard({ allowNetworks: networks.map(parseCidr) }),
    resolve,
    transport,
    clock: { wall: Date.now, schedule: Date.now },
    version: "0",
    source: "host.test",
    timeoutMs,
    maxRetryAfterMs: 60_000,
    allowHttp: true,
    proxy: proxy === undefined ? null : parseProxy(proxy),
    onFault: (error) => expect(error).toBeUndefined(),
  });
  return (url, format = "json") =>
    sender.send(sender.createTarget({ url, format, organizationId: null, secrets: ["0".repeat(64)] }), {
      eventId: "e",
      body: BODY,
    });
}
