import { X509Certificate } from "node:crypto";
import { readFileSync } from "node:fs";
import { join, resolve } from "node:path";
import { rootCertificates } from "node:tls";
import { InvalidArgumentError, Option } from "commander";
import { type HttpProxy, parseProxy } from "./delivery/http/proxy.ts";
import { type Cidr, parseCidr } from "./delivery/target-guard.ts";
import { messageOf, UsageError } from "./errors.ts";
import { LOG_LEVELS, type LogLevel } from "./log.ts";

/** Everything that `serve` can be told, checked. Durations are milliseconds. */
export interface Config {
  readonly dataDir: string;
  readonly host: string;
  readonly port: number;
  readonly socket: string;
  readonly socketMode: number;
  readonly socketConnections: number;
  readonly secretKeyFile: string | null;
  readonly allowHttp: boolean;
  readonly allowNetworks: readonly Cidr[];
  readonly caFile: string | null;
  readonly proxy: HttpProxy | null;
  readonly maxWebhooks: number;
  readonly requestTimeout: number;
  readonly retryAttempts: number;
  readonly retryMinDelay: number;
  readonly retryFactor: number;
  readonly retryMaxDelay: number;
  readonly retryJitter: boolean;
  readonly concurrency: number;
  readonly webhookConcurrency: number;
  readonly paused: boolean;
  readonly retention: number;
  readonly notifyUrl: string | null;
  readonly shutdownTimeout: number;
  readonly logLevel: LogLevel;
}

type Raw = { -readonly [Name in keyof Config]?: Config[Name] };

const UNITS: Readonly<Record<string, number>> = { ms: 1, s: 1_000, m: 60_000, h: 3_600_000, d: 86_400_000 };

/** `250ms`, `5s`, `10m`, `12h`, `30d` in milliseconds. Throws InvalidArgumentError. */
export function parseDuration(text: string): number {
  const match = /^(\d{1,9}(?:\.\d{1,3})?)(ms|s|m|h|d)$/.exec(text.trim());
  const value = match ? Number(match[1]) * (UNITS[match[2] as string] as number) : Number.NaN;
  if (!Number.isFinite(value)) {
    throw new InvalidArgumentError("Write a duration such as 250ms, 5s, 10m, 12h or 30d.");
  }
  return Math.round(value);
}

/** Milliseconds as the options are written. */
export function formatDuration(milliseconds: number): string {
  const unit = (["d", "h", "m", "s"] as const).find((name) => milliseconds % (UNITS[name] as number) === 0);
  return unit && milliseconds > 0 ? `${milliseconds / (UNITS[unit] as number)}${unit}` : `${milliseconds}ms`;
}

function durationFrom(min: number, max: number) {
  return (text: string): number => {
    const value = parseDuration(text);
    if (value >= min && value <= max) return value;
    throw new InvalidArgumentError(`It must be from ${formatDuration(min)} to ${formatDuration(max)}.`);
  };
}

function integerFrom(min: number, max: number) {
  return (text: string): number => {
    const value = /^\d{1,9}$/.test(text.trim()) ? Number(text) : Number.NaN;
    if (value >= min && value <= max) return value;
    throw new InvalidArgumentError(`It must be a whole number from ${min} to ${max}.`);
  };
}

function numberFrom(min: number, max: number) {
  return (text: string): number => {
    const value = text.trim() === "" ? Number.NaN : Number(text);
    if (value >= min && value <= max) return value;
    throw new InvalidArgumentError(`It must be a number from ${min} to ${max}.`);
  };
}

function parseBoolean(text: string): boolean {
  if (/^(true|1|yes|on)$/i.test(text)) return true;
  if (/^(false|0|no|off)$/i.test(text)) return false;
  throw new InvalidArgumentError("It must be true or false.");
}

function parseMode(text: string): number {
  const mode = /^0?[0-7]{3}$/.test(text) ? Number.parseInt(text, 8) : Number.NaN;
  if (Number.isNaN(mode)) throw new InvalidArgumentError("It must be an octal file mode such as 0660.");
  return mode;
}

function parseNetworks(text: string): Cidr[] {
  const parts = text.split(",").filter((part) => part.trim() !== "");
  try {
    return parts.map(parseCidr);
  } catch (error) {
    throw new InvalidArgumentError(messageOf(error));
  }
}

function parseText(text: string): string {
  if (text === "" || text.includes("\0")) throw new InvalidArgumentError("It must not be empty.");
  return text;
}

/** An IPv6 address may be written as in a URL. */
function parseHost(text: string): string {
  return parseText(text).replace(/^\[(.+)\]$/, "$1");
}

function parseLevel(text: string): LogLevel {
  if ((LOG_LEVELS as readonly string[]).includes(text)) return text as LogLevel;
  throw new InvalidArgumentError(`It must be one of ${LOG_LEVELS.join(", ")}.`);
}

function parseNotifyUrl(text: string): string {
  const url = URL.canParse(text) ? new URL(text) : null;
  if (url?.port === "0")
    throw new InvalidArgumentError("It must not have port 0, to which nobody can connect.");
  if (url?.protocol === "https:" || url?.protocol === "http:") return text;
  throw new InvalidArgumentError("It must be an http or https URL.");
}

interface Definition {
  flag: string;
  value: string;
  description: string;
  /** As it would be written; null when the option has none. */
  fallback: string | null;
  parse: (text: string) => Config[keyof Config];
  /** How the default reads in --help, where it is not the plain value. */
  shown?: string;
}

const DAY = UNITS["d"] as number;
const YEAR = 365 * DAY;

const DEFINITIONS: readonly Definition[] = [
  {
    flag: "data-dir",
    value: "DIR",
    description: "directory that holds armorhooks.db; made with mode 0700",
    fallback: "./data",
    parse: parseText,
  },
  { flag: "host", value: "HOST", description: "API address", fallback: "127.0.0.1", parse: parseHost },
  {
    flag: "port",
    value: "PORT",
    description: "API port; 0 picks a free one",
    fallback: "8787",
    parse: integerFrom(0, 65_535),
  },
  {
    flag: "socket",
    value: "PATH",
    description: "scan-event socket",
    fallback: null,
    parse: parseText,
    shown: "<data-dir>/events.sock",
  },
  {
    flag: "socket-mode",
    value: "MODE",
    description: "file mode of the socket",
    fallback: "0660",
    parse: parseMode,
  },
  {
    flag: "socket-connections",
    value: "N",
    description: "connections to the socket at once; more are refused with UNAVAILABLE",
    fallback: "1024",
    parse: integerFrom(1, 100_000),
  },
  {
    flag: "secret-key-file",
    value: "FILE",
    description: "key that encrypts webhook secrets in the database, 64 hex digits",
    fallback: null,
    parse: parseText,
    shown: "<data-dir>/secret.key, made on first start",
  },
  {
    flag: "allow-http",
    value: "",
    description: "accept http:// targets",
    fallback: "false",
    parse: parseBoolean,
  },
  {
    flag: "allow-networks",
    value: "CIDRS",
    description: "comma-separated networks that the target guard lets through",
    fallback: "",
    parse: parseNetworks,
    shown: "none",
  },
  {
    flag: "ca-file",
    value: "FILE",
    description: "extra PEM roots for HTTPS targets (private PKI)",
    fallback: null,
    parse: parseText,
    shown: "none",
  },
  {
    flag: "proxy",
    value: "URL",
    description: "HTTP proxy through which every delivery goes, http://[user:password@]host:port",
    fallback: null,
    parse: parseText,
    shown: "none",
  },
  {
    flag: "max-webhooks",
    value: "N",
    description: "webhooks that one organization may register",
    fallback: "1000",
    parse: integerFrom(1, 1_000_000),
  },
  {
    flag: "request-timeout",
    value: "TIME",
    description: "one attempt, body included",
    fallback: "10s",
    parse: durationFrom(1, 600_000),
  },
  {
    flag: "retry-attempts",
    value: "N",
    description: "attempts per delivery, the first included",
    fallback: "12",
    parse: integerFrom(1, 1_000),
  },
  {
    flag: "retry-min-delay",
    value: "TIME",
    description: "delay before the second attempt",
    fallback: "5s",
    parse: durationFrom(0, YEAR),
  },
  {
    flag: "retry-factor",
    value: "N",
    description: "each delay is this many times the one before",
    fallback: "4",
    parse: numberFrom(1, 100),
  },
  {
    flag: "retry-max-delay",
    value: "TIME",
    description: "longest delay between two attempts",
    fallback: "12h",
    parse: durationFrom(0, YEAR),
  },
  {
    flag: "retry-jitter",
    value: "",
    description: "multiply each delay by a random number from 1 to 2, up to the longest",
    fallback: "true",
    parse: parseBoolean,
  },
  {
    flag: "concurrency",
    value: "N",
    description:
      "requests in flight, all webhooks together; never more than the descriptors of the process allow",
    fallback: "4096",
    parse: integerFrom(1, 10_000),
  },
  {
    flag: "webhook-concurrency",
    value: "N",
    description: "most requests in flight to one webhook",
    fallback: "256",
    parse: integerFrom(1, 10_000),
  },
  {
    flag: "paused",
    value: "",
    description: "maintenance: takes and acks events, makes no attempts",
    fallback: "false",
    parse: parseBoolean,
  },
  {
    flag: "retention",
    value: "TIME",
    description: "finished events, deliveries and attempts are pruned after this",
    fallback: "30d",
    parse: durationFrom(1_000, 100 * YEAR),
  },
  {
    flag: "notify-url",
    value: "URL",
    description: "operator's webhook, told when a webhook starts failing, is disabled or recovers",
    fallback: null,
    parse: parseNotifyUrl,
    shown: "none",
  },
  {
    flag: "shutdown-timeout",
    value: "TIME",
    description: "longest drain after SIGTERM, SIGINT or SIGHUP",
    fallback: "15s",
    parse: durationFrom(0, 3_600_000),
  },
  {
    flag: "log-level",
    value: "LEVEL",
    description: `JSON lines on stdout: ${LOG_LEVELS.join(", ")}`,
    fallback: "info",
    parse: parseLevel,
  },
];

/** The command-line option of a setting: its flag, its environment variable, its default and its check. */
export function optionFor(flag: string): Option {
  const found = DEFINITIONS.find((definition) => definition.flag === flag);
  if (!found) throw new Error(`no option is called ${flag}`);
  const { value, description, fallback, parse, shown } = found;
  const text = fallback === null && shown ? `${description} (default: ${shown})` : description;
  const option = new Option(value === "" ? `--${flag} [boolean]` : `--${flag} <${value}>`, text);
  option.env(`ARMORHOOKS_${flag.toUpperCase().replaceAll("-", "_")}`).argParser(parse);
  if (fallback !== null) option.default(parse(fallback), shown ?? fallback);
  return option;
}

/** Options of `serve`, in the order of --help. */
export function serveOptions(): Option[] {
  return DEFINITIONS.map(({ flag }) => optionFor(flag));
}

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
    readFileSync(path);
    return path;
  } catch {
    return null;
  }
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

/** The roots that HTTPS targets are verified with: null for Bun's own alone, as a list given to it replaces them. */
export function trustedRoots(caFile: string | null): string[] | null {
  return caFile === null ? null : [...rootCertificates, ...readRoots(caFile)];
}

const PEM = /-----BEGIN CERTIFICATE-----[\s\S]+?-----END CERTIFICATE-----/g;

/** The certificates of a PEM file. Throws UsageError. */
export function readRoots(path: string): string[] {
  let text: string;
  try {
    text = readFileSync(path, "utf8");
  } catch (error) {
    throw new UsageError(`cannot read --ca-file ${path}: ${messageOf(error)}`);
  }
  const certificates = text.match(PEM) ?? [];
  try {
    if (certificates.length === 0) throw new Error("it holds no PEM certificate");
    for (const certificate of certificates) new X509Certificate(certificate);
  } catch (error) {
    throw new UsageError(`--ca-file ${path} cannot be used: ${messageOf(error)}`);
  }
  return certificates;
}
