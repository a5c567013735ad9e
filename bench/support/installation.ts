import { join } from "node:path";
import { type Bench, check } from "./bench.ts";
import { type Daemon, daemonProgram, plainEnvironment, startDaemon } from "./daemon.ts";
import type { Tier } from "./event.ts";

export interface WebhookInput {
  url: string;
  tier?: Tier;
}

export interface Registered {
  id: string;
  url: string;
  secret: string;
}

/** A data directory with an organization and webhooks that were registered through the API, and its running daemon. */
export interface Installation {
  dataDir: string;
  organizationId: string;
  /** A key with no limit that matters. */
  key: string;
  webhooks: Registered[];
  daemon: Daemon;
  /** Starts the daemon once more, after it was stopped. */
  start(more?: readonly string[], env?: Record<string, string>): Promise<Daemon>;
  /** Another organization with its own webhooks. */
  addOrganization(
    webhooks: readonly WebhookInput[],
  ): Promise<{ id: string; key: string; webhooks: Registered[] }>;
}

export interface InstallationOptions {
  webhooks: readonly WebhookInput[];
  args?: readonly string[];
  /** Whether the first start only takes events. */
  paused?: boolean;
}

export const LOOPBACK = ["--allow-http", "--allow-networks", "127.0.0.0/8,::1/128"];

export async function install(bench: Bench, options: InstallationOptions): Promise<Installation> {
  const dataDir = join(bench.newDir(), "data");
  const args = [...LOOPBACK, ...(options.args ?? [])];
  const firstArgs = options.paused ? [...args, "--paused"] : args;
  const daemon = await startDaemon(bench, { dataDir, args: firstArgs });
  const organizationId = daemon.bootstrap?.organizationId ?? "";
  const key = createKey(dataDir, organizationId, placeOf(args));
  const start = (more: readonly string[] = [], env: Record<string, string> = {}) =>
    startDaemon(bench, { dataDir, args: [...args, ...more], env });
  return {
    dataDir,
    organizationId,
    key,
    daemon,
    start,
    webhooks: await register(daemon, key, options.webhooks),
    async addOrganization(webhooks) {
      const { organization } = runCommand(
        "org",
        "create",
        "--name",
        "other",
        "--plan",
        "enterprise",
        dataDir,
      );
      const id = String(organization?.id);
      // A running daemon learns of it within a second.
      await Bun.sleep(1_000);
      const own = createKey(dataDir, id);
      return { id, key: own, webhooks: await register(daemon, own, webhooks) };
    },
  };
}

/** Registers webhooks in their order. */
async function register(
  { url }: Daemon,
  key: string,
  webhooks: readonly WebhookInput[],
): Promise<Registered[]> {
  const registered: Registered[] = [];
  for (const webhook of webhooks) {
    const answer = await fetch(`${url}/v1/webhooks`, {
      method: "POST",
      headers: { authorization: `Bearer ${key}`, "content-type": "application/json" },
      body: JSON.stringify({ url: webhook.url, events: [`${webhook.tier ?? "red"}_tier`] }),
    });
    const text = await answer.text();
    check(`a webhook was registered: ${text}`, answer.status === 201);
    registered.push((JSON.parse(text) as { webhook: Registered }).webhook);
  }
  return registered;
}

/** What says that everything is kept in a shared database, of the arguments of a daemon. */
function placeOf(args: readonly string[]): string[] {
  const at = args.indexOf("--database");
  return at < 0 ? [] : args.slice(at, at + 2);
}

/** A key with which hundreds of webhooks can be registered within a minute. */
export function createKey(dataDir: string, organizationId: string, place: readonly string[] = []): string {
  const limit = ["--rate-limit", "100000"];
  const { raw_key } = runCommand("key", "create", "--org", organizationId, ...limit, ...place, dataDir);
  return String(raw_key);
}

interface CommandAnswer {
  organization?: Record<string, unknown>;
  raw_key?: string;
}

function runCommand(...args: string[]): CommandAnswer {
  const dataDir = args.pop() as string;
  const { success, stdout, stderr } = Bun.spawnSync(
    [...daemonProgram(null), ...args, "--json", "--data-dir", dataDir],
    { env: plainEnvironment() },
  );
  check(`${args[0]} ${args[1]} worked: ${stderr.toString()}`, success);
  return JSON.parse(stdout.toString()) as CommandAnswer;
}
