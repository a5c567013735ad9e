import { resolve } from "node:path";
import { Command } from "commander";
import { toWall } from "../clock.ts";
import { optionFor } from "../config/options.ts";
import type { DaemonState } from "../store/daemons.ts";
import { isLocked } from "../store/open.ts";
import type { Organization } from "../store/organizations.ts";
import type { LatestFailure } from "../store/overview.ts";
import type { Store } from "../store/store.ts";
import type { Webhook } from "../store/webhooks.ts";
import { VERSION } from "../version.ts";
import { print, printJson } from "./results.ts";
import {
  type DaemonStatus,
  OLDEST_PENDING_LIMIT_S,
  type Status,
  statusText,
  type WebhookStatus,
} from "./status-print.ts";
import { type Place, withExistingStore } from "./with-store.ts";

const HOUR_MS = 3_600_000;
/** Longer than the default retries of a delivery take. */
const HORIZON_MS = 7 * 24 * HOUR_MS;

const HELP = `
A webhook is failing when its latest attempt failed, and waiting when its receiver has asked it to
slow down (429): that is no failure, and all is sent in time.

Exit codes:
  0  all is well
  1  something needs a look: a webhook is failing or was disabled by the daemon (not by its owner),
     or a delivery to an enabled webhook has been pending for over an hour; or it cannot be told:
     then a line on standard error says why, and --json prints {"error":{"message":…}} instead
  2  an option is wrong
Whether the daemon runs is shown, but does not count here: armorhooks health tells that.

Example:
  armorhooks status --data-dir /var/lib/armorhooks
  armorhooks status --json | jq .pending.oldest_seconds`;

/** `armorhooks status` */
export function statusCommand(setExitCode: (code: number) => void): Command {
  return new Command("status")
    .description("show what is delivered and what is not, whether or not the daemon runs")
    .addOption(optionFor("data-dir"))
    .addOption(optionFor("database"))
    .option("--json", "print JSON")
    .addHelpText("after", HELP)
    .action(async ({ json, ...place }: Place & { json?: boolean }) => {
      const status = await withExistingStore(place, (store) => readStatus(store, resolve(place.dataDir)));
      await (json ? printJson(status) : print(statusText(status)));
      setExitCode(status.ok ? 0 : 1);
    });
}

async function readStatus(store: Store, dataDir: string): Promise<Status> {
  const pending = await store.overview.pendingByWebhook();
  const organizations = new Map((await store.organizations.list()).map((row) => [row.id, row]));
  const webhooks = await store.webhooks.all();
  const waiting = await store.overview.waitingUntil();
  const troubled = webhooks.filter(
    ({ id, enabled, failureCount }) => !enabled || failureCount > 0 || waiting.has(id),
  );
  const failures = await store.overview.latestFailures(troubled.map(({ id }) => id));
  const known = {
    organizations,
    pending,
    failures,
    waiting,
    toWall: (time: number) => toWall(store.clock, time),
  };
  const attention = troubled.map((webhook) => webhookStatus(webhook, known));
  const count = (state: WebhookStatus["state"]) =>
    attention.filter((webhook) => webhook.state === state).length;
  const oldest = await oldestSeconds(store);
  const daemons = store.daemons && (await store.daemons.list());
  return {
    ok: (oldest ?? 0) <= OLDEST_PENDING_LIMIT_S && !attention.some(needsALook),
    version: VERSION,
    data_dir: dataDir,
    // A daemon elsewhere counts as well, for as long as its lease holds.
    daemon_running: daemons ? daemons.some(({ leaseMs }) => leaseMs > 0) : isLocked(dataDir),
    ...(daemons && { daemons: daemons.map(daemonStatus) }),
    webhooks: {
      total: webhooks.length,
      enabled: webhooks.length - count("disabled"),
      failing: count("failing"),
      waiting: count("waiting"),
      disabled: count("disabled"),
    },
    pending: { deliveries: sum(pending.values()), oldest_seconds: oldest },
    last_hour: await lastHour(store),
    attention,
  };
}

function daemonStatus({
  id,
  name,
  version,
  sends,
  partitions,
  beatAgeMs,
  leaseMs,
}: DaemonState): DaemonStatus {
  return {
    id,
    host: name,
    version,
    sends,
    partitions,
    last_sign_of_life_ms: Math.round(beatAgeMs),
    lease_ms: Math.round(leaseMs),
  };
}

/** What is known of webhooks and of those around them, by id. */
interface Known {
  organizations: ReadonlyMap<number, Organization>;
  pending: ReadonlyMap<number, number>;
  failures: ReadonlyMap<number, LatestFailure>;
  /** Schedule time. */
  waiting: ReadonlyMap<number, number>;
  toWall: (time: number) => number;
}

function webhookStatus(webhook: Webhook, known: Known): WebhookStatus {
  const { organizations, pending, failures, waiting, toWall } = known;
  const until = webhook.enabled ? waiting.get(webhook.id) : undefined;
  const { lastTriggeredAt } = webhook;
  const organization = organizations.get(webhook.organizationId);
  return {
    id: webhook.uuid,
    ...(webhook.name !== null && { name: webhook.name }),
    organization_id: organization?.uuid ?? "",
    organization_name: organization?.name ?? "",
    // Never the path: a Slack URL is itself a secret.
    host: new URL(webhook.url).host,
    state: stateOf(webhook),
    disabled_reason: webhook.enabled ? null : webhook.disabledReason,
    failure_count: webhook.failureCount,
    pending: pending.get(webhook.id) ?? 0,
    last_triggered_at: lastTriggeredAt === null ? null : new Date(lastTriggeredAt).toISOString(),
    why: whyOf(failures.get(webhook.id)),
    waiting_until: until === undefined ? null : new Date(toWall(until)).toISOString(),
  };
}

function stateOf({ enabled, failureCount }: Webhook): WebhookStatus["state"] {
  if (!enabled) return "disabled";
  return failureCount > 0 ? "failing" : "waiting";
}

/** `certificate has expired`, `answered 500` */
function whyOf(failure: LatestFailure | undefined): string | null {
  if (failure === undefined) return null;
  const { status, error, detail } = failure;
  return detail ?? (status === null ? error : `answered ${status}`);
}

/** What its owner has switched off is as its owner wants it. */
function needsALook({ state, disabled_reason }: WebhookStatus): boolean {
  return state !== "waiting" && disabled_reason !== "owner";
}

/** The age of the oldest pending delivery of an enabled webhook. */
async function oldestSeconds({ overview, clock }: Store): Promise<number | null> {
  const since = await overview.oldestPending();
  return since === null ? null : Math.max(0, Math.round((clock.schedule() - since) / 1000));
}

async function lastHour({ overview, clock }: Store): Promise<Status["last_hour"]> {
  const counts = await overview.attemptsSince(clock.wall() - HOUR_MS, clock.schedule() - HORIZON_MS);
  const errors: Record<string, number> = {};
  for (const [error, n] of counts) if (error !== null) errors[error] = n;
  const succeeded = counts.get(null) ?? 0;
  const failed = sum(Object.values(errors));
  return { attempts: succeeded + failed, succeeded, failed, errors };
}

function sum(numbers: Iterable<number>): number {
  let total = 0;
  for (const number of numbers) total += number;
  return total;
}
