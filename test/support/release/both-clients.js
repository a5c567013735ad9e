// A use of both clients, in JavaScript and TypeScript alike: the test of the npm package runs it, and checks its types.
import { IndigiArmor, NotFoundError } from "armorhooks/client";
import { EventRefusedError, Scanner } from "armorhooks/scanner";

const { API = "", KEY = "", SOCKET = "" } = process.env;

const scanner = new Scanner({ socket: SOCKET });
const ack = await scanner.send({ tier: "red", action: "block", risk_score: 85, signals: [] });
const refused = await scanner.send({ tier: "red", action: "block", risk_score: 850 }).catch((error) => error);
await scanner.close();

const armor = new IndigiArmor(KEY, { baseUrl: API });
const webhook = await armor.createWebhook({ url: "http://127.0.0.1:9/hook" });
const missing = await armor.getWebhook("00000000-0000-4000-8000-000000000000").catch((error) => error);
const enough = new AbortController();
const kinds = [];
setTimeout(() => armor.deleteWebhook(webhook.id), 200);
for await (const { type } of armor.stream({ signal: enough.signal })) {
  kinds.push(type);
  enough.abort();
}
console.log(
  JSON.stringify([
    kinds[0],
    ack.duplicate,
    refused instanceof EventRefusedError,
    refused.code,
    webhook.secret.length,
    missing instanceof NotFoundError,
    (await armor.listWebhooks()).length,
  ]),
);
