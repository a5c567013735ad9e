import { accessSync } from "node:fs";
import { join } from "node:path";
import { serveOptions } from "./options.ts";

/** An empty variable is the same as none: it is what an unset one becomes in many a unit file. */
export function dropEmptyVariables(environment: NodeJS.ProcessEnv = process.env): void {
  for (const name of Object.keys(environment)) {
    if (name.startsWith("ARMORHOOKS_") && environment[name] === "") delete environment[name];
  }
}

/** Those of the commands that use the API, or receive. */
const CLIENT_VARIABLES = ["ARMORHOOKS_KEY", "ARMORHOOKS_URL", "ARMORHOOKS_SECRET"];

/** Variables that look like ours and are not: a misspelt option is otherwise silently without effect. */
export function unknownVariables(environment: NodeJS.ProcessEnv = process.env): string[] {
  const known = new Set([...serveOptions().map(({ envVar }) => envVar), ...CLIENT_VARIABLES]);
  return Object.keys(environment).filter((name) => name.startsWith("ARMORHOOKS_") && !known.has(name));
}

/** The systemd credential that is taken for the secret key when no file is named. */
const CREDENTIAL_NAME = "armorhooks-secret-key";

/** The file with the secret key, if it is not the one in the data directory. */
export function secretKeyPath(
  file: string | null | undefined,
  environment: NodeJS.ProcessEnv = process.env,
): string | null {
  return file ?? credentialPath(environment);
}

function credentialPath(environment: NodeJS.ProcessEnv): string | null {
  const directory = environment["CREDENTIALS_DIRECTORY"];
  if (!directory) return null;
  const path = join(directory, CREDENTIAL_NAME);
  try {
    accessSync(path);
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === "ENOENT") return null;
    // One that cannot be looked at is refused where it is read: another key in its place would be the wrong one.
  }
  return path;
}
