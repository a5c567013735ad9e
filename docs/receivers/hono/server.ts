import { serve } from "@hono/node-server";
import { Hono } from "hono";
import { Webhook, WebhookVerificationError } from "standardwebhooks";
import { take } from "./inbox.ts";
import type { Payload } from "./payload.ts";

/** As the API returned it when the webhook was made. */
const webhook = new Webhook(process.env.WEBHOOK_SECRET ?? "");
const app = new Hono();

app.post("/hook", async (context) => {
  try {
    // The raw body, as it is what was signed: parsed and written again it would be another one.
    const payload = webhook.verify(await context.req.text(), context.req.header()) as Payload;
    take(context.req.header("webhook-id") as string, payload);
    return context.body(null, 204);
  } catch (error) {
    if (!(error instanceof WebhookVerificationError)) throw error;
    return context.text("the signature is not valid", 401);
  }
});

serve({ fetch: app.fetch, port: Number(process.env.PORT ?? 9000), hostname: "127.0.0.1" }, () =>
  console.log("ready"),
);
