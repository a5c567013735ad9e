import { join, resolve } from "node:path";
import { type HttpProxy, parseProxy } from "../delivery/http/proxy.ts";
import { messageOf, UsageError } from "../errors.ts";
import type { Config } from "./config.ts";
import { databaseUrl } from "./database.ts";
import { secretKeyPath } from "./environment.ts";
import { formatDuration } from "./parse.ts";
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
  /** Whether nobody has said anything for an option, so that it has its default. */
  isDefault?: (name: keyof Config) => boolean;
}

/** What commander parsed, completed and frozen. Throws UsageError, unless `refuse` does otherwise. */
export function toConfig(
  options: Raw,
  { environment = process.env, refuse = refuseAtOnce, isDefault = () => false }: ConfigSources = {},
): Config {
  // A longest delay below the default shortest one is meant as it says: no delay is longer.
  if (!isDefault("retryMinDelay")) checkDelays(options as Config, refuse);
  const dataDir = resolve(options.dataDir as string);
  return Object.freeze({
    ...(options as Config),
    dataDir,
    database: usableDatabase(options.database, environment, refuse),
    caFile: options.caFile ? usableRoots(options.caFile, refuse) : null,
    proxy: options.proxy ? usableProxy(String(options.proxy), refuse) : null,
    socket: socketPath(dataDir, options.socket, refuse),
    secretKeyFile: secretKeyPath(options.secretKeyFile, environment),
    notifyUrl: options.notifyUrl ? usableNotifyUrl(options.notifyUrl, refuse) : null,
  });
}

function checkDelays({ retryMinDelay, retryMaxDelay }: Config, refuse: Refuse): void {
  if (retryMinDelay <= retryMaxDelay) return;
  refuse(
    new UsageError(
      `--retry-min-delay (ARMORHOOKS_RETRY_MIN_DELAY) ${formatDuration(retryMinDelay)} must not be longer than --retry-max-delay (ARMORHOOKS_RETRY_MAX_DELAY) ${formatDuration(retryMaxDelay)}`,
    ),
  );
}

/** A URL forgets the port that its scheme has anyway, so whether one was named is asked of the text. */
const NAMES_A_PORT = /:0*[1-9]\d*\/?$/;

/** Looked at here rather than where options are parsed: what is refused there is printed, with the password in it. */
function usableProxy(text: string, refuse: Refuse): HttpProxy | null {
  try {
    const proxy = parseProxy(text);
    if (NAMES_A_PORT.test(text.trim())) return proxy;
    throw new Error("it must name the proxy's port, as in http://host:3128");
  } catch (error) {
    refuse(new UsageError(`--proxy (ARMORHOOKS_PROXY) cannot be used: ${messageOf(error)}`));
    return null;
  }
}

/** Looked at here for the same reason. */
function usableNotifyUrl(text: string, refuse: Refuse): string | null {
  const fault = faultOfNotifyUrl(text);
  if (fault === null) return text;
  refuse(new UsageError(`--notify-url (ARMORHOOKS_NOTIFY_URL) ${fault}`));
  return null;
}

function faultOfNotifyUrl(text: string): string | null {
  const url = URL.canParse(text) ? new URL(text) : null;
  if (url?.protocol !== "https:" && url?.protocol !== "http:") return "must be an http or https URL";
  // It would not be sent, and is asked of the text, as a parser does not tell of an empty one.
  if (/^[a-z]+:\/*[^/?#]*@/i.test(text.trim())) return "must not contain a user name or password";
  return url.port === "0" ? "must not have port 0, to which nobody can connect" : null;
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
