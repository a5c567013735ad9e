import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import { connectScanner, LOOPBACK, type RunningDaemon, scan, startDaemon, until } from "../support/daemon.ts";
import { atEnd, cleanUp, emptyDir, linesOf } from "../support/e2e.ts";
import { type RawReceiver, startRawReceiver } from "../support/raw-receiver.ts";

/** A receiver that answers as a service does (docs/CONTRACT.md, section 4, "What services say"), and what is to come of it. */
interface Row {
  format: string;
  answer: string;
  body: string;
  /** Of two attempts that it may have. */
  attempts: number;
  /** Null: it stays on. */
  disabled: string | null;
}

const row = (
  format: string,
  answer: string,
  body: string,
  attempts: number,
  disabled: string | null,
): Row => ({
  format,
  answer,
  body,
  attempts,
  disabled,
});

const unknownWebhook = '{"message": "Unknown Webhook", "code": 10015}';
const invalidToken = '{"message": "Invalid Webhook Token", "code": 50027}';
const deliveryFailed =
  "Webhook message delivery failed with error: Microsoft Teams endpoint returned HTTP error 413 with ContextId x.";

const ROWS: readonly Row[] = [
  row("slack", "404 Not Found", "no_service", 1, "rejected"),
  row("slack", "404 Not Found", "channel_not_found", 1, "rejected"),
  row("slack", "410 Gone", "channel_is_archived", 1, "gone"),
  row("slack", "403 Forbidden", "invalid_token", 1, "rejected"),
  row("slack", "403 Forbidden", "action_prohibited", 1, "rejected"),
  row("slack", "403 Forbidden", "no_service", 1, "rejected"),
  row("slack", "400 Bad Request", "invalid_payload", 1, null),
  row("slack", "413 Payload Too Large", "", 1, null),
  row("discord", "404 Not Found", unknownWebhook, 1, "rejected"),
  row("discord", "401 Unauthorized", invalidToken, 1, "rejected"),
  row("discord", "400 Bad Request", '{"message": "Cannot send an empty message", "code": 50006}', 1, null),
  row("pagerduty", "400 Bad Request", '{"status": "invalid event"}', 1, null),
  row("teams", "200 OK", deliveryFailed, 2, "attempts_exhausted"),
  row("json", "404 Not Found", "no_service", 2, "attempts_exhausted"),
  row("json", "410 Gone", "", 1, "gone"),
];

let daemon: RunningDaemon;
const webhooks = new Map<Row, { id: string; receiver: RawReceiver }>();

beforeAll(async () => {
  const retries = ["--retry-attempts", "2", "--retry-min-delay", "10ms", "--retry-jitter", "false"];
  daemon = await startDaemon({ dir: emptyDir(), args: [...LOOPBACK, ...retries] });
  atEnd(() => daemon.stop("SIGKILL"));
  for (const one of ROWS) {
    const text = `HTTP/1.1 ${one.answer}\r\ncontent-length: ${one.body.length}\r\n\r\n${one.body}`;
    const receiver = await startRawReceiver({ onRequest: (socket) => socket.write(text) });
    atEnd(receiver.stop);
    const url = `http://127.0.0.1:${receiver.port}/?routing_key=${"a".repeat(32)}`;
    const { body } = await daemon.api("POST", "/v1/webhooks", { url, format: one.format });
    webhooks.set(one, { id: body.webhook.id, receiver });
  }
  const scanner = await connectScanner(daemon.socket);
  atEnd(() => scanner.close());
  await scanner.send(scan());
  await until("each has ended", () => linesOf(daemon, "delivery finished").length === ROWS.length);
});
afterAll(cleanUp);

describe("an event and its webhook end as the service says:", () => {
  test.each(ROWS.map((one) => [`${one.format} ${one.answer} ${one.body}`, one] as const))(
    "%s",
    async (_what, one) => {
      const { id, receiver } = webhooks.get(one) as { id: string; receiver: RawReceiver };
      const [delivery] = (await daemon.api("GET", `/v1/webhooks/${id}/deliveries`)).body.deliveries;
      expect(delivery).toMatchObject({
        status: "failed",
        attempt_count: one.attempts,
        last_status: Number(one.answer.slice(0, 3)),
        last_error: "http_status",
      });
      expect(receiver.requests.length).toBe(one.attempts);
      const { webhook } = (await daemon.api("GET", `/v1/webhooks/${id}`)).body;
      expect(webhook.enabled).toBe(one.disabled === null);
      const disabled = linesOf(daemon, "webhook disabled").find(({ webhook_id }) => webhook_id === id);
      expect(disabled?.["reason"] ?? null).toBe(one.disabled);
    },
  );
});
