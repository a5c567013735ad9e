import type { DisabledReason } from "../outcomes.ts";
import { paint, printable } from "./output.ts";
import { tableOf } from "./results.ts";

/** A delivery that has been pending for longer than this, in seconds, needs a look. */
export const OLDEST_PENDING_LIMIT_S = 3_600;

/** What `armorhooks status` tells; `--json` prints it as it is. */
export interface Status {
  ok: boolean;
  version: string;
  data_dir: string;
  daemon_running: boolean;
  /** The daemons that share a database; left out where there is one in the data directory. */
  daemons?: DaemonStatus[];
  webhooks: { total: number; enabled: number; failing: number; waiting: number; disabled: number };
  pending: { deliveries: number; oldest_seconds: number | null };
  last_hour: { attempts: number; succeeded: number; failed: number; errors: Record<string, number> };
  /** The failing and the disabled ones, and those whose receivers have asked to wait. */
  attention: WebhookStatus[];
}

export interface DaemonStatus {
  id: string;
  host: string;
  version: string;
  sends: boolean;
  partitions: number;
  last_sign_of_life_ms: number;
  lease_ms: number;
}

export interface WebhookStatus {
  id: string;
  /** Left out when it has none. */
  name?: string;
  organization_id: string;
  organization_name: string;
  host: string;
  state: "failing" | "waiting" | "disabled";
  disabled_reason: DisabledReason | null;
  failure_count: number;
  pending: number;
  last_triggered_at: string | null;
  /** What its latest failed attempt came to, in a few words. */
  why: string | null;
  /** Until when its receiver has asked to wait; null when it has not. */
  waiting_until: string | null;
}

export function statusText(status: Status): string {
  const { webhooks, pending, last_hour: hour, attention } = status;
  const daemon = status.daemon_running ? paint("green", "running") : paint("red", "not running");
  const errors = Object.entries(hour.errors).map(([error, n]) => `${error} ${n}`);
  const lines = [
    line("armorhooks", `${status.version}, ${status.data_dir}`),
    line("daemon", daemon),
    ...(status.daemons ? daemonLines(status.daemons) : []),
    line(
      "webhooks",
      `${webhooks.enabled} enabled, ${alarming(webhooks.failing, "failing")}, ${webhooks.waiting} waiting, ${alarming(webhooks.disabled, "disabled")}`,
    ),
    line("pending", `${grouped(pending.deliveries)} deliveries${oldestText(pending.oldest_seconds)}`),
    line(
      "last hour",
      `${grouped(hour.attempts)} attempts, ${grouped(hour.succeeded)} succeeded, ${alarming(hour.failed, "failed")}${errors.length > 0 ? ` (${errors.join(", ")})` : ""}`,
    ),
    ...(attention.length > 0 ? attentionLines(attention) : []),
  ];
  return lines.join("\n");
}

/** The shares of all that send, and how long ago each was heard of. */
function daemonLines(daemons: readonly DaemonStatus[]): string[] {
  const table = tableOf(
    ["HOST", "VERSION", "SHARE", "LAST SIGN OF LIFE", "LEASE"],
    daemons.map(({ host, version, sends, partitions, last_sign_of_life_ms, lease_ms }) => [
      printable(host),
      version,
      sends ? `${partitions} of 256` : "paused",
      `${(last_sign_of_life_ms / 1000).toFixed(1)} s ago`,
      lease_ms > 0 ? `${(lease_ms / 1000).toFixed(1)} s left` : "run out",
    ]),
  );
  const count = daemons.length === 0 ? paint("red", "none") : String(daemons.length);
  return [line("daemons", count), ...table, ""];
}

/** What fits on one screen with the lines above. */
const MAX_ROWS = 15;
const MAX_WHY_LENGTH = 60;

function attentionLines(attention: readonly WebhookStatus[]): string[] {
  const table = tableOf(
    ["WEBHOOK", "NAME", "ORGANIZATION", "HOST", "STATE", "FAILURES", "PENDING", "LAST ATTEMPT", "WHY"],
    attention
      .slice(0, MAX_ROWS)
      .map((webhook) => [
        webhook.id,
        printable(webhook.name ?? "").slice(0, 20),
        printable(webhook.organization_name).slice(0, 20),
        webhook.host,
        webhook.disabled_reason ? `disabled (${webhook.disabled_reason})` : webhook.state,
        String(webhook.failure_count),
        String(webhook.pending),
        webhook.last_triggered_at ?? "never",
        printable(reasonOf(webhook)).slice(0, MAX_WHY_LENGTH),
      ]),
  );
  const more = attention.length - MAX_ROWS;
  return ["", ...table, ...(more > 0 ? [`… and ${more} more; --json lists all`] : [])];
}

function reasonOf({ state, why, waiting_until }: WebhookStatus): string {
  if (state === "waiting") return `its receiver has asked to wait until ${waiting_until}`;
  return why ?? "";
}

function line(name: string, text: string): string {
  return `${paint("bold", name.padEnd(12))}${text}`;
}

function alarming(count: number, what: string): string {
  return count > 0 ? paint("yellow", `${grouped(count)} ${what}`) : `0 ${what}`;
}

function grouped(count: number): string {
  return count.toLocaleString("en-US");
}

function oldestText(seconds: number | null): string {
  if (seconds === null) return "";
  const text = `oldest ${formatAge(seconds)}`;
  return `, ${seconds > OLDEST_PENDING_LIMIT_S ? paint("red", text) : text}`;
}

/** `42 s`, `12 min`, `3 h 5 min`, `4 d 3 h` */
export function formatAge(seconds: number): string {
  const minutes = Math.floor(seconds / 60);
  const hours = Math.floor(minutes / 60);
  if (minutes < 1) return `${seconds} s`;
  if (hours < 1) return `${minutes} min`;
  return hours < 24 ? `${hours} h ${minutes % 60} min` : `${Math.floor(hours / 24)} d ${hours % 24} h`;
}
