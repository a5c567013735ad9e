import { afterEach, describe, expect, test } from "bun:test";
import { connectScanner, LOOPBACK, type RunningDaemon, scan, startDaemon, until } from "./support/daemon.ts";
import { atEnd, cleanUp, deliveriesOf, emptyDir, firstDelivery } from "./support/e2e.ts";
import { type Receiver, startReceiver } from "./support/receiver.ts";

afterEach(cleanUp);

/** A receiver that answers 500 at first, the request of one number only when it is told to. */
function holdingReceiver(heldNumber: number): { receiver: Receiver; release: () => void } {
  let release = (): void => {};
  const held = new Promise<void>((resolve) => {
    release = resolve;
  });
  const receiver = startReceiver(async () => {
    const number = receiver.received.length;
    if (number === heldNumber) await held;
    return new Response("", { status: number <= heldNumber + 1 ? 500 : 200 });
  });
  atEnd(receiver.stop);
  return { receiver, release };
}

async function start(receiver: Receiver, args: string[]): Promise<{ daemon: RunningDaemon; id: string }> {
  const daemon = await startDaemon({ dir: emptyDir(), args: [...LOOPBACK, "--retry-factor", "1", ...args] });
  atEnd(() => daemon.stop());
  const { id } = (await daemon.api("POST", "/v1/webhooks", { url: receiver.url })).body.webhook;
  return { daemon, id };
}

describe("while an attempt is under way", () => {
  test("a retry by hand gives a fresh budget, should the attempt fail", async () => {
    const { receiver, release } = holdingReceiver(2);
    const { daemon, id } = await start(receiver, ["--retry-attempts", "3", "--retry-min-delay", "40ms"]);
    await (await connectScanner(daemon.socket)).send(scan());
    await until("the second attempt is under way", () => receiver.received.length === 2);
    const delivery = await firstDelivery(daemon, id);
    expect((await daemon.api("POST", `/v1/deliveries/${delivery.id}/retry`)).status).toBe(202);
    release();
    await until("it was delivered", async () => (await firstDelivery(daemon, id)).status === "delivered");
    const { attempts } = await firstDelivery(daemon, id);
    expect(attempts.map(({ status }: { status: number }) => status)).toEqual([500, 500, 500, 200]);
  });

  test("a webhook that is disabled and enabled again goes on, with what was waiting", async () => {
    const { receiver, release } = holdingReceiver(1);
    const { daemon, id } = await start(receiver, ["--retry-min-delay", "0ms"]);
    const scanner = await connectScanner(daemon.socket);
    await scanner.send(scan());
    await until("the attempt is under way", () => receiver.received.length === 1);
    const change = (enabled: boolean) => daemon.api("PATCH", `/v1/webhooks/${id}`, { enabled });
    await change(false);
    release();
    await until("it failed", async () => (await firstDelivery(daemon, id)).attempt_count === 1);
    await change(true);
    await scanner.send(scan());
    await until("both were delivered", async () =>
      (await deliveriesOf(daemon, id)).every(({ status }) => status === "delivered"),
    );
    expect(await deliveriesOf(daemon, id)).toHaveLength(2);
  });
});
