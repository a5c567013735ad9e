import { join, resolve } from "node:path";
import { type HttpProxy, parseProxy } from "../delivery/http/proxy.ts";
import { messageOf, UsageError } from "../errors.ts";
import type { Config } from "./config.ts";
import { databaseUrl } from "./database.ts";
import { secretKeyPath } from "./environment.ts";
import { readRoots } from "./roots.ts";

type Raw = { -readonly [Name in keyof Config]?: Config[Name] };

/** sun_path holds 108 bytes with the closing NUL, and the socket is first made under a longer name. */
const MAX_SOCKET_PATH_BYTES = 95;

/** Told of an option that cannot be used as it is; may throw, or go on to hear of others. */
type Refuse = (error: UsageError) => void;

const refuseAtOnce: Refuse = (error) => {
  throw error;
};

/** Where the socket is, given the two options that decide it. Throws UsageError, unless `refuse` does otherwise. */
export function socketPath(dataDir: string, socket: string | undefined, refuse = refuseAtOnce): string {
  const path = resolve(socket ?? join(dataDir, "events.sock"));
  if (Buffer.byteLength(path) > MAX_SOCKET_PATH_BYTES) {
    refuse(
      new UsageError(
        `the socket path ${path} is longer than ${MAX_SOCKET_PATH_BYTES} bytes; choose a shorter one with --socket`,
      ),
    );
  }
  return path;
}

export interface ConfigSources {
  environment?: NodeJS.ProcessEnv;
  refuse?: Refuse;
}

/** What commander parsed, completed and frozen. Throws UsageError, unless `refuse` does otherwise. */
export function toConfig(
  options: Raw,
  { environment = process.env, refuse = refuseAtOnce }: ConfigSources = {},
): Config {
  const dataDir = resolve(options.dataDir as string);
  return Object.freeze({
    ...(options as Config),
    dataDir,
    database: usableDatabase(options.database, environment, refuse),
    caFile: options.caFile ? usableRoots(options.caFile, refuse) : null,
    proxy: options.proxy ? usableProxy(String(options.proxy), refuse) : null,
    socket: socketPath(dataDir, options.socket, refuse),
    secretKeyFile: secretKeyPath(options.secretKeyFile, environment),
    notifyUrl: options.notifyUrl ?? null,
  });
}

/** Looked at here rather than where options are parsed: what is refused there is printed, with the password in it. */
function usableProxy(text: string, refuse: Refuse): HttpProxy | null {
  try {
    return parseProxy(text);
  } catch (error) {
    refuse(new UsageError(`--proxy (ARMORHOOKS_PROXY) cannot be used: ${messageOf(error)}`));
    return null;
  }
}

function usableDatabase(
  text: string | null | undefined,
  environment: NodeJS.ProcessEnv,
  refuse: Refuse,
): string | null {
  try {
    return databaseUrl(text, undefined, environment);
  } catch (error) {
    if (!(error instanceof UsageError)) throw error;
    refuse(error);
    return null;
  }
}

function usableRoots(path: string, refuse: Refuse): string | null {
  try {
    readRoots(path);
    return path;
  } catch (error) {
    if (!(error instanceof UsageError)) throw error;
    refuse(error);
    return null;
  }
}
