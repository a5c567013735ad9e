import { hostname } from "node:os";
import pRetry from "p-retry";
import { trustedRoots } from "./config/roots.ts";
import type { HttpProxy } from "./delivery/http/proxy.ts";
import { createTransport, type Transport } from "./delivery/http/transport.ts";
import type { AttemptOutcome } from "./delivery/observer.ts";
import { createSender, type Sender } from "./delivery/send.ts";
import { systemResolve } from "./delivery/system-resolve.ts";
import type { HostVerdict, TargetGuard } from "./delivery/target-guard.ts";
import { messageOf } from "./errors.ts";
import type { Logger } from "./log.ts";
import type { DisabledReason } from "./outcomes.ts";
import type { Store } from "./store/store.ts";
import { VERSION } from "./version.ts";

/** Tells the operator's own webhook when a webhook starts failing, is disabled, or recovers: once per change. */
export interface Notifier {
  attempted(outcome: AttemptOutcome): void;
  disabled(
    webhook: { id: string; name: string | null; organizationId: string },
    reason: DisabledReason,
  ): void;
  stop(): void;
}

export interface NotifierOptions {
  /** Null: nobody is told. */
  url: string | null;
  /** 64 hex digits. */
  secret: string;
  store: Pick<Store, "clock" | "ids" | "webhooks">;
  log: Logger;
  caFile: string | null;
  proxy: HttpProxy | null;
}

/** Failures in a row after which a webhook counts as failing. */
const FAILING_AFTER = 10;
const TIMEOUT_MS = 10_000;

/** What the secret that notices are signed with is derived for, from the secret key: nothing more to keep. */
export const NOTICE_PURPOSE = "armorhooks notices";

/** Rejects with StoreFault. */
export async function createNotifier({
  url,
  secret,
  store,
  log,
  caFile,
  proxy,
}: NotifierOptions): Promise<Notifier> {
  if (url === null) return { attempted: () => {}, disabled: () => {}, stop: () => {} };
  const transport = createTransport({ ca: trustedRoots(caFile) });
  const sender = operatorSender(store, { transport, proxy }, log);
  const target = sender.createTarget({ url, format: "json", organizationId: null, secrets: [secret] });
  const abort = new AbortController();
  /** Webhooks that are known to be in trouble: after a restart those given up before; of others, their failures in a row tell. */
  const troubled = new Set(
    (await store.webhooks.all()).flatMap(({ uuid, disabledReason }) =>
      disabledReason === null ? [] : [uuid],
    ),
  );

  const notify = (type: string, data: Record<string, string | number>): void => {
    const eventId = store.ids.format(store.ids.next());
    const body = JSON.stringify({ type, timestamp: new Date(store.clock.wall()).toISOString(), data });
    const once = async (): Promise<void> => {
      const { error } = await sender.send(target, { eventId, body });
      if (error !== null) throw new Error(error);
    };
    pRetry(once, { retries: 5, minTimeout: 2_000, factor: 3, randomize: true, signal: abort.signal }).catch(
      (error: Error) => log.warn("notice not delivered", { type, error: error.message }),
    );
  };

  return {
    attempted({
      webhook: {
        uuid,
        name,
        organizationUuid,
        target: { hostname },
      },
      isOn,
      failures: { before, after },
    }) {
      const id = uuid;
      const data = {
        webhook_id: id,
        ...(name !== null && { webhook_name: name }),
        organization_id: organizationUuid,
        host: hostname,
      };
      if (before < FAILING_AFTER && after >= FAILING_AFTER) {
        troubled.add(id);
        notify("webhook.failing", { ...data, failure_count: after });
      } else if (isOn && after === 0 && (before >= FAILING_AFTER || troubled.has(id))) {
        troubled.delete(id);
        notify("webhook.recovered", { ...data, failure_count: before });
      }
    },
    disabled({ id, name, organizationId }, reason) {
      troubled.add(id);
      notify("webhook.disabled", {
        webhook_id: id,
        ...(name !== null && { webhook_name: name }),
        organization_id: organizationId,
        reason,
      });
    },
    stop() {
      abort.abort();
      transport.close();
    },
  };
}

/** The operator may name any address: the guard is for what tenants name. */
const ANYWHERE: TargetGuard = {
  isAllowedAddress: () => true,
  checkHost: (hostname): HostVerdict => (/^[\d.]+$|^\[/.test(hostname) ? "allowed" : "name"),
};

function operatorSender(
  { clock }: Pick<Store, "clock">,
  { transport, proxy }: { transport: Transport; proxy: HttpProxy | null },
  log: Logger,
): Sender {
  return createSender({
    guard: ANYWHERE,
    resolve: systemResolve,
    transport,
    proxy,
    clock,
    version: VERSION,
    source: hostname(),
    timeoutMs: TIMEOUT_MS,
    maxRetryAfterMs: 0,
    allowHttp: true,
    onFault: (error) => log.error("fault", { where: "notices", error: messageOf(error) }),
  });
}
