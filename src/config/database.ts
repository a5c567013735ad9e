import { UsageError } from "../errors.ts";

/**
 * The database that an option names, with what PGUSER and PGPASSWORD say where the URL does not; null when it names
 * none. Throws UsageError, which never repeats the URL, as that may hold a password.
 */
export function databaseUrl(
  text: string | null | undefined,
  flag = "--database (ARMORHOOKS_DATABASE)",
  environment: NodeJS.ProcessEnv = process.env,
): string | null {
  if (text == null) return null;
  const url = URL.canParse(text) ? new URL(text) : null;
  if (!url || !/^postgres(ql)?:$/.test(url.protocol)) {
    throw new UsageError(`${flag} must be a URL such as postgres://user@host:5432/armorhooks`);
  }
  if (url.username === "" && environment["PGUSER"]) url.username = encodeURIComponent(environment["PGUSER"]);
  if (url.password === "" && environment["PGPASSWORD"]) {
    url.password = encodeURIComponent(environment["PGPASSWORD"]);
  }
  return url.href;
}
