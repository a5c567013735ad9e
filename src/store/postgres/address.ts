import type { SQL } from "bun";
import { UsageError } from "../../errors.ts";

/** Where the database is and how it is spoken to. */
export interface Address {
  /** Without password: for people. */
  shown: string;
  /** The option that names it. */
  flag: string;
  options: SQL.PostgresOrMySQLOptions;
  /** Whether there is a pooler in transaction mode between: then no named statements, no LISTEN, no settings of a session. */
  isPooled: boolean;
}

const SSL_MODES = ["disable", "allow", "prefer", "require", "verify-ca", "verify-full"] as const;
const PARAMETERS: ReadonlySet<string> = new Set(["sslmode", "sslrootcert", "pgbouncer", "host"]);

/** Reads `postgres://user:password@host:port/database?sslmode=…&sslrootcert=…&pgbouncer=true`. Throws UsageError; never repeats the password. */
export function parseAddress(text: string, flag = "--database"): Address {
  const url = URL.canParse(text) ? new URL(text) : null;
  if (!url || !/^postgres(ql)?:$/.test(url.protocol)) {
    throw new UsageError(`${flag} must be a URL such as postgres://user@host:5432/armorhooks`);
  }
  const decode = (part: string): string => decoded(part, flag);
  const database = decode(url.pathname.slice(1));
  const directory = url.searchParams.get("host");
  if (database === "")
    throw new UsageError(`${flag} must name a database: postgres://user@host:5432/armorhooks`);
  if (url.hostname === "" && directory === null)
    throw new UsageError(`${flag} must name a host: postgres://user@host:5432/armorhooks`);
  for (const name of url.searchParams.keys()) {
    if (!PARAMETERS.has(name)) {
      throw new UsageError(
        `${flag} has the parameter ${name}, which is not one of ${[...PARAMETERS].join(", ")}`,
      );
    }
  }
  const mode = sslModeOf(url, flag);
  const roots = url.searchParams.get("sslrootcert");
  const username = decode(url.username) || "armorhooks";
  const port = Number(url.port || 5432);
  const hostname = directory ?? url.hostname.replace(/^\[(.+)\]$/, "$1");
  return {
    flag,
    shown: `postgres://${username}@${url.host || directory}/${database}`,
    isPooled: isPooled(url, flag),
    options: {
      adapter: "postgres",
      hostname,
      port,
      username,
      password: decode(url.password),
      database,
      tls: roots === null ? (mode === "disable" ? false : mode) : { ca: Bun.file(roots) as never },
    },
  };
}

function sslModeOf(url: URL, flag: string): (typeof SSL_MODES)[number] {
  const mode = url.searchParams.get("sslmode") ?? "prefer";
  const found = SSL_MODES.find((one) => one === mode);
  if (!found) throw new UsageError(`sslmode in ${flag} must be one of ${SSL_MODES.join(", ")}`);
  return found;
}

function isPooled(url: URL, flag: string): boolean {
  const pooled = url.searchParams.get("pgbouncer") ?? "false";
  if (pooled === "true" || pooled === "false") return pooled === "true";
  throw new UsageError(`pgbouncer in ${flag} must be true or false`);
}

function decoded(part: string, flag: string): string {
  try {
    return decodeURIComponent(part);
  } catch {
    // What it was is not repeated, as it may be the password.
    throw new UsageError(
      `the user, password or name in ${flag} has a % that encodes nothing; percent-encode % as %25`,
    );
  }
}
