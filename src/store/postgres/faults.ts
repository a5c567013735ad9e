import { messageOf } from "../../errors.ts";
import { isStoreFault, StoreFault } from "../faults.ts";

/**
 * SQLSTATEs of a database that cannot do its work now, by class and one by one (PostgreSQL's appendix A): connection
 * exceptions, serialization failures and deadlocks, insufficient resources, objects not in the right state, operator's
 * intervention, system errors, internal errors; a read-only transaction; a password or database that is refused, and
 * what a role has no right to.
 */
const FAULT_CLASSES: ReadonlySet<string> = new Set(["08", "28", "3D", "40", "53", "55", "57", "58", "XX"]);
const READ_ONLY = "25006";
/** A right that the role lacks; a schema that it may not use counts as none at all. */
const FORBIDDEN: ReadonlySet<string> = new Set(["42501", "3F000"]);

/** The SQLSTATE of what was thrown; null when the server has not said one. */
export function sqlState(error: unknown): string | null {
  if (!(error instanceof Error) || error.name !== "PostgresError") return null;
  return (error as { errno?: string }).errno ?? null;
}

/** Whether PostgreSQL could not do its work, rather than refuse ours. */
export function isPostgresFault(error: unknown): boolean {
  if (isStoreFault(error)) return true;
  if (!(error instanceof Error)) return false;
  // What the network or its encryption says, such as a certificate that is not trusted.
  if (error.name === "Error") return typeof (error as { code?: unknown }).code === "string";
  if (error.name !== "PostgresError") return false;
  const state = sqlState(error);
  // Without one it is the client that speaks: the connection was lost, refused or closed.
  return (
    state === null || state === READ_ONLY || FORBIDDEN.has(state) || FAULT_CLASSES.has(state.slice(0, 2))
  );
}

/** What was thrown, as those who use the store know it. */
export function outward(error: unknown): unknown {
  if (isStoreFault(error) || !isPostgresFault(error)) return error;
  return new StoreFault(messageOf(error), { cause: error });
}

/** Whether the role that the address names may not do what was asked. */
export function isForbidden({ cause }: StoreFault): boolean {
  return FORBIDDEN.has(sqlState(cause) ?? "");
}

/** Of those: a password, role or database that is refused. */
const LASTING_CLASSES: ReadonlySet<string> = new Set(["28", "3D"]);
/** In the codes of the client, where encryption or authentication cannot be had, or a file of certificates not be read. */
const LASTING_CODES = /^ENOENT$|^EACCES$|TLS|SSL|CERT|VERIFY|AUTH|PASSWORD|SASL/;

/** Whether a fault may be over by itself, as when the server or the network is not there yet; others are for a person. */
export function mayPass(fault: StoreFault): boolean {
  const { cause } = fault;
  const state = sqlState(cause);
  if (state !== null) return !FORBIDDEN.has(state) && !LASTING_CLASSES.has(state.slice(0, 2));
  return !LASTING_CODES.test(String((cause as { code?: unknown } | undefined)?.code ?? ""));
}
