import { connectScanner, type RunningDaemon, scan, until } from "../support/daemon.ts";
import type { Receiver } from "../support/receiver.ts";
import type { Recorder, WebhookVersion } from "./recording.ts";

type State = NonNullable<WebhookVersion["state"]>;

/** Notes which ids receivers see, and when. */
export function watch({ facts, now }: Recorder, receiver: Receiver): void {
  receiver.answer = ({ headers }) => {
    facts.seen.push({ at: now(), id: headers["webhook-id"] as string });
    return new Response("ok");
  };
}

export async function createWebhook(recorder: Recorder, daemon: RunningDaemon, url: string): Promise<string> {
  const from = recorder.now();
  const { status, body } = await daemon.api("POST", "/v1/webhooks", { url, events: ["red_tier"] });
  if (status !== 201) throw new Error(JSON.stringify(body));
  const { id, events, enabled, secret } = body.webhook;
  recorder.facts.webhooks.set(id, [{ from, at: recorder.now(), state: { url, events, enabled, secret } }]);
  return id;
}

/** A request that changes a webhook; null for what it is afterwards means that it is gone. */
export async function changeWebhook(
  { facts, now }: Recorder,
  daemon: RunningDaemon,
  { id, method, path, body }: { id: string; method: string; path: string; body?: object },
): Promise<void> {
  const versions = facts.webhooks.get(id) as WebhookVersion[];
  const before = (versions.at(-1) as WebhookVersion).state as State;
  const from = now();
  const answer = await daemon.api(method, `/v1/webhooks/${id}${path}`, body);
  if (answer.status !== 200) throw new Error(JSON.stringify(answer.body));
  const { webhook } = answer.body;
  const state = webhook && { ...before, ...pickState(webhook), secret: webhook.secret ?? before.secret };
  versions.push({ from, at: now(), state: state ?? null });
}

export function pickState({ url, events, enabled }: State): Omit<State, "secret"> {
  return { url, events, enabled };
}

export interface Load {
  events: number;
  /** Signals of each, about 200 bytes each. */
  signals: number;
  /** Lines that may wait for their acks. */
  window: number;
}

/** Sends events and notes their acks; refused ones are only counted. */
export async function sendEvents(
  { facts, now }: Recorder,
  { socket }: RunningDaemon,
  { events, signals, window }: Load,
): Promise<{ refused: number }> {
  const scanner = await connectScanner(socket);
  let refused = 0;
  try {
    for (let sent = 0; sent < events; sent += window) {
      const lines = Array.from({ length: Math.min(window, events - sent) }, () => line(signals));
      for (const { ok, id, deliveries, error } of await scanner.send(...lines)) {
        if (!ok && error?.code !== "UNAVAILABLE") throw new Error(JSON.stringify(error));
        if (!ok) refused += 1;
        else {
          const at = now();
          facts.acks.push({ at, id: id as string, deliveries: deliveries as number });
          facts.seen.push({ at, id: id as string });
        }
      }
    }
  } finally {
    scanner.close();
  }
  return { refused };
}

function line(count: number): object {
  const signals = Array.from({ length: count }, (_, i) => ({
    domain: "pii",
    type: `type ${i} `.padEnd(120, Math.random().toString(36).slice(2)),
    confidence: 0.5,
    weight: 50,
  }));
  return scan({ signals });
}

/** Waits until receivers have what was sent, so that results are written too. */
export async function settle({ facts }: Recorder): Promise<void> {
  const seen = (): number => new Set(facts.seen.map(({ id }) => id)).size;
  await until("every acked event has been seen", () => seen() >= facts.acks.length);
  await Bun.sleep(100);
}
