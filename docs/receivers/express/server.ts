import express from "express";
import { Webhook, WebhookVerificationError } from "standardwebhooks";
import { take } from "./inbox.ts";
import type { Payload } from "./payload.ts";

/** As the API returned it when the webhook was made. */
const webhook = new Webhook(process.env.WEBHOOK_SECRET ?? "");
const app = express();

// The raw body, as it is what was signed: parsed and written again it would be another one.
app.post("/hook", express.raw({ type: "application/json", limit: "64kb" }), (request, response) => {
  try {
    const headers = request.headers as Record<string, string>;
    const payload = webhook.verify(request.body, headers) as Payload;
    take(headers["webhook-id"] as string, payload);
    response.sendStatus(204);
  } catch (error) {
    if (!(error instanceof WebhookVerificationError)) throw error;
    response.status(401).send("the signature is not valid");
  }
});

app.listen(Number(process.env.PORT ?? 9000), "127.0.0.1", () => console.log("ready"));
