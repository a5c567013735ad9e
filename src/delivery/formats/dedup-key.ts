import { createHash } from "node:crypto";
import { type ScanMessage, scanTime } from "./scan-message.ts";

const HOUR_MS = 3_600_000;

/**
 * What makes alerts one incident (docs/CONTRACT.md, section 4, "What services say"): the same for events of one
 * organization in the same clock hour (UTC, of the event's own timestamp, so that a retry repeats it) with
 * the same tier, action and kinds of signals. A test message has its event's id, as each must raise and
 * resolve an alert of its own. At most 64 ASCII characters; PagerDuty takes 255.
 */
export function dedupKey(scan: ScanMessage, eventId: string, organizationId: string | null): string {
  if (scan.event === "test") return eventId;
  const kinds = new Set(scan.signals.map(({ domain, type }) => JSON.stringify([domain, type])));
  const same = [organizationId, hourOf(scan), scan.tier, scan.action, ...[...kinds].sort()];
  return createHash("sha256").update(JSON.stringify(same)).digest("hex");
}

// A timestamp that is no time cannot be put into an hour, but still says the same at each retry.
function hourOf(scan: ScanMessage): number | string {
  const time = scanTime(scan);
  return time === undefined ? scan.timestamp : Math.floor(time.getTime() / HOUR_MS);
}
