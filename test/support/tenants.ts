import { type RunningDaemon, request, runCommand } from "./daemon.ts";

/** An organization with a key of its own, made on the command line while the daemon runs. */
export interface Tenant {
  organizationId: string;
  keyId: string;
  key: string;
  api: RunningDaemon["api"];
}

async function json(args: string[], dataDir: string) {
  const { code, stdout, stderr } = await runCommand([...args, "--json", "--data-dir", dataDir]);
  if (code !== 0) throw new Error(stderr);
  return JSON.parse(stdout);
}

/** Makes an organization and a key with a rate limit that no test reaches. */
export async function newTenant(daemon: RunningDaemon, name: string, plan = "professional"): Promise<Tenant> {
  const { organization } = await json(["org", "create", "--name", name, "--plan", plan], daemon.dataDir);
  return newKey(daemon, organization.id);
}

/** Makes a key; `flags` are those of `armorhooks key create`. */
export async function newKey(
  daemon: RunningDaemon,
  organizationId: string,
  flags: string[] = ["--rate-limit", "1000000"],
): Promise<Tenant> {
  const { key, raw_key } = await json(["key", "create", "--org", organizationId, ...flags], daemon.dataDir);
  return {
    organizationId,
    keyId: key.id,
    key: raw_key,
    api: (method, path, body) => request(daemon.url, raw_key, method, path, body),
  };
}
