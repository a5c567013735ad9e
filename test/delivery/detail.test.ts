import { afterEach, expect, test } from "bun:test";
import { connectScanner, LOOPBACK, scan, startDaemon, until } from "../support/daemon.ts";
import { atEnd, cleanUp, emptyDir } from "../support/e2e.ts";
import { ok, startRawReceiver } from "../support/raw-receiver.ts";

afterEach(cleanUp);

test("why an attempt failed is in the API and in its log line, and nowhere when it did not", async () => {
  const options = ["--retry-attempts", "2", "--retry-min-delay", "10ms", "--retry-jitter", "false"];
  const daemon = await startDaemon({ dir: emptyDir(), args: [...LOOPBACK, ...options] });
  atEnd(() => daemon.stop("SIGKILL"));
  let requests = 0;
  const receiver = await startRawReceiver({
    onRequest: (socket) => {
      requests += 1;
      if (requests === 1) socket.write("220 ESMTP\r\n\r\n");
      else socket.write(ok());
    },
  });
  atEnd(receiver.stop);
  const { webhook } = (
    await daemon.api("POST", "/v1/webhooks", { url: `http://127.0.0.1:${receiver.port}/` })
  ).body;
  const scanner = await connectScanner(daemon.socket);
  await scanner.send(scan());
  await until("it is delivered", () => daemon.log.some(({ msg }) => msg === "delivery finished"));
  const [{ id }] = (await daemon.api("GET", `/v1/webhooks/${webhook.id}/deliveries`)).body.deliveries;
  const { attempts } = (await daemon.api("GET", `/v1/deliveries/${id}`)).body.delivery;
  const detail = "what the receiver sent is no HTTP/1.1 response";
  expect(attempts).toMatchObject([
    { number: 1, error: "invalid_response", detail },
    { number: 2, error: null, detail: null },
  ]);
  const lines = daemon.log.filter(({ msg }) => msg === "attempt made");
  expect(lines[0]).toMatchObject({ error: "invalid_response", detail });
  expect(lines[1]).not.toHaveProperty("detail");
  scanner.close();
});
