import { Command, InvalidArgumentError, Option } from "commander";
import type { UpdateWebhookInput, Webhook, WebhookEvent, WebhookFilter } from "../client/index.ts";
import { parseNumber } from "../config/parse.ts";
import { UsageError } from "../errors.ts";
import { WEBHOOK_FORMATS, type WebhookFormat } from "../formats.ts";
import { ACTIONS, type Action, EVENT_TYPES } from "../scan-words.ts";
import { type ApiOptions, addApiOptions, ask, parseList } from "./api.ts";
import { paint, printable } from "./output.ts";
import { print, printJson, printTable } from "./results.ts";

/** What can be said of a webhook on the command line. */
interface Fields {
  events?: WebhookEvent[];
  format?: WebhookFormat;
  name?: string;
  minRiskScore?: number;
  actions?: Action[];
  domains?: string[];
  rateLimit?: number;
  group?: boolean;
  header?: Record<string, string>;
}

interface Changes extends Fields {
  target?: string;
  enable?: boolean;
  disable?: boolean;
  unset?: string[];
}

const UNSETTABLE = ["name", "filter", "rate_limit_per_minute", "group", "headers"];

/** `armorhooks webhook …` */
export function webhookCommand(setExitCode: (code: number) => void): Command {
  const command = new Command("webhook").description("manage webhooks through the API");
  const add = (name: string, description: string, example: string): Command =>
    addApiOptions(command.command(name).description(description)).addHelpText(
      "after",
      `\nExample:\n  ${example}`,
    );

  add("list", "list the webhooks of the key's organization", "armorhooks webhook list").action(list);
  addFields(
    add(
      "create",
      "register a webhook; its secret is printed once",
      "armorhooks webhook create https://hooks.slack.com/services/T1/B1/x --format slack --name 'on call' --min-risk-score 80",
    ).argument("<URL>", "where its requests go"),
  ).action(create);
  addFields(
    add(
      "update",
      "change what is given of a webhook",
      "armorhooks webhook update 0b3b… --enable --events red,yellow --unset filter",
    )
      .argument("<ID>", "the webhook's id")
      .option("--target <URL>", "where its requests go"),
  )
    .option("--enable", "turn it on, which also forgets its failures")
    .option("--disable", "turn it off")
    .option("--unset <LIST>", `take off: ${UNSETTABLE.join(", ")}`, parseUnset)
    .action(update);
  add(
    "test",
    "send a signed test request; exit code 0 when it was taken, otherwise 1",
    "armorhooks webhook test 0b3b…",
  )
    .argument("<ID>", "the webhook's id")
    .action(async (id: string, options: ApiOptions) => setExitCode(await test(id, options)));
  add("delete", "remove a webhook; its pending deliveries end", "armorhooks webhook delete 0b3b…")
    .argument("<ID>", "the webhook's id")
    .action(remove);
  return command;
}

function addFields(command: Command): Command {
  return command
    .option("--events <LIST>", "event types: red, yellow, green", parseEvents)
    .addOption(new Option("--format <FORMAT>", "payload format").choices([...WEBHOOK_FORMATS]))
    .option("--name <NAME>", "what people call it")
    .option("--min-risk-score <N>", "filter: only events with this score or more", parseNumber)
    .option("--actions <LIST>", `filter: only events with these actions: ${ACTIONS.join(", ")}`, parseActions)
    .option("--domains <LIST>", "filter: only events with a signal of these domains", parseList)
    .option("--rate-limit <N>", "requests a minute", parseNumber)
    .option("--group <BOOLEAN>", "whether deliveries that wait may share a chat message", parseBoolean)
    .option(
      "--header <FIELD>",
      'a header field of every request, "name: value"; may be repeated',
      parseHeader,
    );
}

async function list(options: ApiOptions): Promise<void> {
  const webhooks = await ask(options, (client) => client.listWebhooks());
  if (options.json) return printJson({ webhooks });
  await printTable(
    ["ID", "NAME", "HOST", "EVENTS", "FORMAT", "STATE", "LAST ATTEMPT"],
    webhooks.map((webhook) => [
      webhook.id,
      printable(webhook.name ?? ""),
      // Never the path: a Slack URL is itself a secret.
      new URL(webhook.url).host,
      webhook.events.map((event) => event.replace("_tier", "")).join(","),
      webhook.format,
      stateOf(webhook),
      webhook.last_triggered_at ?? "never",
    ]),
  );
}

function stateOf({ enabled, failure_count, disabled_reason }: Webhook): string {
  if (!enabled) return disabled_reason ? `disabled (${disabled_reason})` : "disabled";
  return failure_count > 0 ? `failing (${failure_count} in a row)` : "enabled";
}

async function create(url: string, options: ApiOptions & Fields): Promise<void> {
  const webhook = await ask(options, (client) => client.createWebhook({ url, ...inputOf(options) }));
  const { id, secret } = webhook;
  const unseen = `webhook ${id} was made, and nobody has seen its secret: POST /v1/webhooks/${id}/rotate-secret gives another, "armorhooks webhook delete ${id}" takes it back`;
  if (options.json) return printJson({ webhook }, unseen);
  const note = paint("dim", "this is the only time that the secret is shown");
  await print(`webhook ${id}\nsecret  ${secret}\n${note}`, unseen);
}

async function update(id: string, options: ApiOptions & Changes): Promise<void> {
  const { target, enable, disable, unset = [] } = options;
  if (enable && disable) throw new UsageError("--enable and --disable cannot both be given");
  const given = inputOf(options);
  const both = unset.find((name) => Object.hasOwn(given, name));
  if (both !== undefined) throw new UsageError(`--unset ${both} and a value for it cannot both be given`);
  const input: UpdateWebhookInput = {
    ...(target !== undefined && { url: target }),
    ...given,
    ...(enable && { enabled: true }),
    ...(disable && { enabled: false }),
    ...Object.fromEntries(unset.map((name) => [name, null])),
  };
  if (Object.keys(input).length === 0)
    throw new UsageError("say what to change; see armorhooks webhook update --help");
  const webhook = await ask(options, (client) => client.updateWebhook(id, input));
  const done = `webhook ${webhook.id} is ${stateOf(webhook)}`;
  await (options.json ? printJson({ webhook }, `it is done: ${done}`) : print(done, `it is done: ${done}`));
}

async function test(id: string, options: ApiOptions): Promise<number> {
  const result = await ask(options, (client) => client.testWebhook(id));
  if (options.json) await printJson(result);
  else if (result.success) await print(`the receiver answered ${result.status}`);
  else console.error(`armorhooks: ${result.error ?? "the test failed"}`);
  return result.success ? 0 : 1;
}

async function remove(id: string, options: ApiOptions): Promise<void> {
  const answer = await ask(options, (client) => client.deleteWebhook(id));
  const done = `webhook ${id} is deleted`;
  await (options.json ? printJson(answer, done) : print(done, done));
}

/** What the flags say, as the API takes it. */
function inputOf(fields: Fields): UpdateWebhookInput {
  const { events, format, name, minRiskScore, actions, domains, rateLimit, group, header } = fields;
  const filter: WebhookFilter = {
    ...(minRiskScore !== undefined && { min_risk_score: minRiskScore }),
    ...(actions && { actions }),
    ...(domains && { domains }),
  };
  return {
    ...(events && { events }),
    ...(format && { format }),
    ...(name !== undefined && { name }),
    ...(Object.keys(filter).length > 0 && { filter }),
    ...(rateLimit !== undefined && { rate_limit_per_minute: rateLimit }),
    ...(group !== undefined && { group }),
    ...(header && { headers: header }),
  };
}

function parseEvents(text: string): WebhookEvent[] {
  return parseList(text).map((part) => {
    const event = EVENT_TYPES.find((type) => type === part || type === `${part}_tier`);
    if (!event) throw new InvalidArgumentError("It must be a list of red, yellow and green.");
    return event;
  });
}

function parseActions(text: string): Action[] {
  const parts = parseList(text);
  if (parts.every((part): part is Action => (ACTIONS as readonly string[]).includes(part))) return parts;
  throw new InvalidArgumentError(`It must be a list of ${ACTIONS.join(", ")}.`);
}

function parseUnset(text: string): string[] {
  const parts = parseList(text);
  if (parts.every((part) => UNSETTABLE.includes(part))) return parts;
  throw new InvalidArgumentError(`It must be a list of ${UNSETTABLE.join(", ")}.`);
}

function parseBoolean(text: string): boolean {
  if (text === "true" || text === "false") return text === "true";
  throw new InvalidArgumentError("It must be true or false.");
}

function parseHeader(text: string, before: Record<string, string> = {}): Record<string, string> {
  const [, name, value] = /^([^:\s]+):\s*(.*)$/.exec(text) ?? [];
  // Commander would repeat it, with what is often a secret.
  if (name === undefined || value === undefined) throw new UsageError('--header must be "name: value"');
  return { ...before, [name]: value };
}
