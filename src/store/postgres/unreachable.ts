import { lookup } from "node:dns/promises";
import { messageOf } from "../../errors.ts";
import type { StoreFault } from "../faults.ts";
import type { Address } from "./address.ts";
import { isForbidden, mayPass } from "./faults.ts";

/** Why a database cannot be used, with what to do. The client says the same of a name that nobody knows as of a server that is not there. */
export async function whyUnreachable(fault: StoreFault, { flag, options }: Address): Promise<string> {
  const { hostname = "" } = options;
  if (isForbidden(fault))
    return `${fault.message}; make ${options.username} the owner of ${options.database}`;
  if (!mayPass(fault)) return fault.message;
  try {
    if (!hostname.startsWith("/")) await lookup(hostname);
  } catch (error) {
    return `the name ${hostname} cannot be looked up (${messageOf(error)}); mend the name in ${flag}, or the DNS`;
  }
  return `${fault.message}; see whether the server runs there, and lets this machine in`;
}
