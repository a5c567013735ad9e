import { type Command, Option } from "commander";
import { LOG_LEVELS } from "../log.ts";
import type { Config } from "./config.ts";
import {
  durationFrom,
  integerFrom,
  numberFrom,
  parseBoolean,
  parseHost,
  parseLevel,
  parseMode,
  parseNetworks,
  parseText,
  UNITS,
} from "./parse.ts";

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
  {
    flag: "database",
    value: "URL",
    description: "postgres://user@host:port/name, shared by several daemons; password also from PGPASSWORD",
    fallback: null,
    parse: parseText,
    shown: "armorhooks.db in the data directory",
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
    parse: parseText,
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

/** Which options of a command that was parsed have their defaults. */
export function isDefaultOf(command: Command): (name: keyof Config) => boolean {
  return (name) => command.getOptionValueSource(name) === "default";
}
