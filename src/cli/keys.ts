import { Command, InvalidArgumentError } from "commander";
import { optionFor } from "../config/options.ts";
import { integerFrom } from "../config/parse.ts";
import { UsageError } from "../errors.ts";
import type { Organization } from "../store/organizations.ts";
import type { Store } from "../store/store.ts";
import { readTimestamp } from "../timestamp.ts";
import { parseName } from "./organizations.ts";
import { paint, printable } from "./output.ts";
import { print, printJson, printTable } from "./results.ts";
import { keyView } from "./views.ts";
import { withStore } from "./with-store.ts";

/** Requests per minute of a key that nobody said anything else for. */
export const DEFAULT_RATE_LIMIT_PER_MINUTE = 60;
/** More than any daemon answers. */
const MAX_RATE_LIMIT = 999_999_999;

interface Common {
  dataDir: string;
  database?: string;
  json?: boolean;
}

interface CreateOptions extends Common {
  org: string;
  name: string;
  rateLimit: number;
  readOnly?: boolean;
  expiresAt?: number;
}

/** `armorhooks key …` */
export function keyCommand(): Command {
  const command = new Command("key").description("manage API keys");
  command
    .command("create")
    .description("create an API key; it is printed once and stored only as a hash")
    .requiredOption("--org <ID>", "the organization's id")
    .option("--name <NAME>", "what it is for", parseName, "api key")
    .option(
      "--rate-limit <N>",
      "requests per minute",
      integerFrom(1, MAX_RATE_LIMIT),
      DEFAULT_RATE_LIMIT_PER_MINUTE,
    )
    .option("--read-only", "it may only read, and sees webhook URLs without path and query")
    .option("--expires-at <ISO>", "when it stops working", parseExpiry)
    .addOption(optionFor("data-dir"))
    .addOption(optionFor("database"))
    .option("--json", "print JSON")
    .addHelpText(
      "after",
      "\nExample:\n  armorhooks key create --org 7d1c… --name ci --expires-at 2027-01-01T00:00:00Z",
    )
    .action((options: CreateOptions) => withStore(options, (store) => create(store, options)));
  command
    .command("list")
    .description("list the API keys of an organization")
    .requiredOption("--org <ID>", "the organization's id")
    .addOption(optionFor("data-dir"))
    .addOption(optionFor("database"))
    .option("--json", "print JSON")
    .addHelpText("after", "\nExample:\n  armorhooks key list --org 7d1c…")
    .action((options: Common & { org: string }) => withStore(options, (store) => list(store, options)));
  command
    .command("revoke")
    .description("turn an API key off for good; a running daemon refuses it within a second")
    .argument("<ID>", "the key's id")
    .addOption(optionFor("data-dir"))
    .addOption(optionFor("database"))
    .option("--json", "print JSON")
    .addHelpText("after", "\nExample:\n  armorhooks key revoke 2f6e…")
    .action((id: string, options: Common) => withStore(options, (store) => revoke(store, id, options)));
  return command;
}

async function create(
  store: Store,
  { org, name, rateLimit, readOnly, expiresAt, json }: CreateOptions,
): Promise<void> {
  const organization = await organizationOf(store, org);
  const { key, rawKey } = await store.apiKeys.create({
    organizationId: organization.id,
    name,
    rateLimitPerMinute: rateLimit,
    readOnly: readOnly === true,
    expiresAt: expiresAt ?? null,
  });
  const unseen = `key ${key.uuid} was made, and nobody has seen it: turn it off with "armorhooks key revoke ${key.uuid}" and make another`;
  if (json) return printJson({ key: keyView(key, organization.uuid), raw_key: rawKey }, unseen);
  const about = paint("dim", `key ${key.uuid}; this is the only time that it is shown`);
  await print(`${rawKey}\n${about}`, unseen);
}

async function list(store: Store, { org, json }: Common & { org: string }): Promise<void> {
  const organization = await organizationOf(store, org);
  const keys = await store.apiKeys.list(organization.id);
  const views = keys.map((key) => keyView(key, organization.uuid));
  if (json) return printJson({ keys: views });
  await printTable(
    ["ID", "NAME", "KEY", "PER MINUTE", "MAY", "STATE", "LAST USED", "EXPIRES"],
    views.map((view) => [
      view.id,
      printable(view.name),
      `${view.key_prefix}…`,
      String(view.rate_limit_per_minute),
      view.read_only ? "read" : "read, write",
      view.enabled ? "enabled" : "revoked",
      view.last_used_at ?? "never",
      view.expires_at ?? "never",
    ]),
  );
}

async function revoke(store: Store, id: string, { json }: Common): Promise<void> {
  const key = await store.apiKeys.revoke(id.toLowerCase());
  if (!key) throw new UsageError(`no key has this id in ${store.place}; see armorhooks key list`, 1);
  const organization = (await store.organizations.list()).find(
    ({ id: owner }) => owner === key.organizationId,
  );
  const done = `key ${key.uuid} is revoked`;
  await (json ? printJson({ key: keyView(key, organization?.uuid ?? "") }, done) : print(done, done));
}

async function organizationOf(store: Store, uuid: string): Promise<Organization> {
  const organization = await store.organizations.get(uuid.toLowerCase());
  if (!organization) {
    throw new UsageError(`--org names no organization in ${store.place}; see armorhooks org list`, 1);
  }
  return organization;
}

function parseExpiry(text: string): number {
  const read = readTimestamp(text);
  if (typeof read === "string") throw new InvalidArgumentError(`It ${read}.`);
  if (read.milliseconds > Date.now()) return read.milliseconds;
  throw new InvalidArgumentError(`It must lie in the future; it is ${new Date().toISOString()} now.`);
}
