import { afterEach, expect, test } from "bun:test";
import { connectScanner, LOOPBACK, scan, startDaemon, until } from "./support/daemon.ts";
import { atEnd, cleanUp, emptyDir, firstDelivery } from "./support/e2e.ts";
import { startReceiver } from "./support/receiver.ts";

afterEach(cleanUp);

const QUICK = ["--retry-attempts", "3", "--retry-min-delay", "40ms", "--retry-factor", "1"];

test("a delivery retried by hand during an attempt gets its fresh budget when that attempt fails", async () => {
  let release = (): void => {};
  const held = new Promise<void>((resolve) => {
    release = resolve;
  });
  const receiver = startReceiver(async () => {
    const count = receiver.received.length;
    if (count === 2) await held;
    return new Response("", { status: count < 4 ? 500 : 200 });
  });
  atEnd(receiver.stop);
  const daemon = await startDaemon({ dir: emptyDir(), args: [...LOOPBACK, ...QUICK] });
  atEnd(() => daemon.stop());
  const { id } = (await daemon.api("POST", "/v1/webhooks", { url: receiver.url })).body.webhook;
  const scanner = await connectScanner(daemon.socket);
  await scanner.send(scan());
  await until("the second attempt is under way", () => receiver.received.length === 2);
  const delivery = await firstDelivery(daemon, id);
  expect((await daemon.api("POST", `/v1/deliveries/${delivery.id}/retry`)).status).toBe(202);
  release();
  await until("it was delivered", async () => (await firstDelivery(daemon, id)).status === "delivered");
  const { attempts } = await firstDelivery(daemon, id);
  expect(attempts.map(({ status }: { status: number }) => status)).toEqual([500, 500, 500, 200]);
});
