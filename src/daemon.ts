import { statSync } from "node:fs";
import { hostname, networkInterfaces } from "node:os";
import { join } from "node:path";
import { createApp } from "./api/app.ts";
import { envelope, toAppError } from "./api/errors.ts";
import { createRateLimiter } from "./api/rate-limit.ts";
import { toWall } from "./clock.ts";
import { type Config, trustedRoots } from "./config.ts";
import { createTransport } from "./delivery/http/transport.ts";
import { type Lookup, shareLookups } from "./delivery/resolver.ts";
import { createSender } from "./delivery/send.ts";
import { systemResolve } from "./delivery/system-resolve.ts";
import { createTargetGuard } from "./delivery/target-guard.ts";
import { createWorker } from "./delivery/worker.ts";
import { messageOf, UsageError } from "./errors.ts";
import { createEventIntake } from "./event-intake.ts";
import { newRequestId } from "./ids.ts";
import { createIngestServer } from "./ingest/server.ts";
import type { Logger } from "./log.ts";
import { createMetrics } from "./metrics.ts";
import { createNotifier, NOTICE_PURPOSE } from "./notifier.ts";
import { createObserver } from "./observer.ts";
import { createOrganizationDirectory } from "./organization-directory.ts";
import { createPruner } from "./pruner.ts";
import { DATABASE_FILE } from "./store/sqlite/database.ts";
import type { RecoverStep } from "./store/sqlite/delivery-log.ts";
import { lockDataDir } from "./store/sqlite/lock.ts";
import { openSecretBox, secretKeySource } from "./store/sqlite/secret-key.ts";
import { openStore, type Store } from "./store/sqlite/store.ts";
import type { Webhook } from "./store/sqlite/webhooks.ts";
import { VERSION } from "./version.ts";

export interface Daemon {
  /**
   * Begins to take events, to deliver and to serve; throws UsageError for what the operator can mend. `prepare` runs
   * once nothing else can fail, before the first event is read.
   */
  start(prepare?: () => void): Promise<{ url: string; socket: string }>;
  /** Drains and closes; true when nothing was cut short. */
  stop(): Promise<boolean>;
  store: Store;
}

export interface DaemonOptions {
  config: Config;
  log: Logger;
  /** For tests: a name server of their own. */
  resolve?: Lookup;
}

const TICK_MS = 250;
const CLOCK_MS = 30_000;

/** Puts the parts together. Nothing here knows how any of them works. */
export function createDaemon({ config, log, resolve = systemResolve }: DaemonOptions): Daemon {
  const lock = lockDataDir(config.dataDir);
  const { store, box } = openOrRelease(config, log, lock);
  const { clock } = store;
  const metrics = createMetrics();
  let accepting = false;

  const guard = createTargetGuard({
    allowNetworks: config.allowNetworks,
    ownAddresses: createOwnAddresses(),
  });
  const notifier = createNotifier({
    url: config.notifyUrl,
    secret: box.derive(NOTICE_PURPOSE),
    store,
    log,
    caFile: config.caFile,
  });
  const observer = createObserver({
    store,
    log,
    metrics,
    onAttempt: notifier.attempted,
    onDisabled: notifier.disabled,
  });
  const transport = createTransport({ ca: trustedRoots(config.caFile) });
  const sender = createSender({
    guard,
    resolve: shareLookups(resolve),
    transport,
    clock,
    version: VERSION,
    source: hostname(),
    timeoutMs: config.requestTimeout,
    maxRetryAfterMs: config.retryMaxDelay,
    allowHttp: config.allowHttp,
    onFault: observer.faultOf("sending"),
  });
  const worker = createWorker({
    store,
    clock,
    sender,
    observer,
    policy: {
      attempts: config.retryAttempts,
      minDelay: config.retryMinDelay,
      factor: config.retryFactor,
      maxDelay: config.retryMaxDelay,
      jitter: config.retryJitter,
    },
    concurrency: config.concurrency,
    webhookConcurrency: config.webhookConcurrency,
    requestTimeoutMs: config.requestTimeout,
  });
  const directory = createOrganizationDirectory(store);
  const pruner = createPruner({
    store,
    retentionMs: config.retention,
    metrics,
    onFault: observer.faultOf("pruning"),
  });

  const ingest = createIngestServer({
    path: config.socket,
    mode: config.socketMode,
    maxConnections: config.socketConnections,
    now: clock.wall,
    organization: directory.find,
    store: createEventIntake({ store, worker, metrics, log }),
    whenDurable: store.database.whenDurable,
    makeDurable: store.database.makeDurable,
    onRefused: (code) => metrics.refusedLines.add(code),
    onCutOff: () => {
      metrics.cutLines.inc();
      log.info("line cut off");
    },
    onFault: observer.faultOf("ingest"),
  });

  const recover = async (webhook: Webhook, range: { since: number; until: number }): Promise<number> => {
    let recovered = 0;
    for (let from: number | null | undefined; from !== null; ) {
      worker.settle();
      const step: RecoverStep = store.deliveryLog.recoverStep({
        webhookId: webhook.id,
        organizationId: webhook.organizationId,
        types: webhook.events,
        range,
        fromId: from ?? null,
        dueAt: clock.schedule(),
        now: clock.wall(),
      });
      recovered += step.recovered;
      from = step.nextFromId;
      if (step.recovered > 0) worker.wake(webhook.id);
      // One step at a time, so that events and requests get in between.
      await new Promise((next) => setImmediate(next));
    }
    return recovered;
  };

  const lastUsed = new Map<number, number>();
  const app = createApp({
    version: VERSION,
    gate: {
      findKey: (rawKey) => {
        const identity = store.apiKeys.find(rawKey);
        if (identity) lastUsed.set(identity.key.id, clock.wall());
        return identity;
      },
      limiter: createRateLimiter(() => performance.now()),
      now: clock.wall,
    },
    webhooks: {
      webhooks: store.webhooks,
      urlRules: { allowHttp: config.allowHttp, isBlockedHost: (host) => guard.checkHost(host) === "blocked" },
      maxWebhooks: config.maxWebhooks,
      now: clock.wall,
      lastId: store.lastId,
      onChanged: worker.reload,
      sendTest: (webhookId) => worker.sendApart(webhookId, testMessage(store)),
    },
    deliveries: {
      webhooks: store.webhooks,
      log: store.deliveryLog,
      viewer: { formatId: store.formatId, toWall: (time) => toWall(clock, time) },
      parseId: store.parseId,
      recover,
      retry: ({ id, webhookId }) => {
        worker.settle();
        store.deliveryLog.retry(id, clock.schedule());
        worker.wake(webhookId, id);
      },
      now: clock.wall,
    },
    operations: {
      version: VERSION,
      isHealthy: () => accepting && store.database.fault() === null,
      metrics: async () => ({
        text: await metrics.registry.metrics(),
        contentType: metrics.registry.contentType,
      }),
    },
    onFault: (error, requestId) => {
      metrics.faults.inc();
      log.error("request failed", { request_id: requestId, error: messageOf(error) });
    },
  });

  metrics.watch({
    pendingDeliveries: store.deliveries.countPending,
    oldestPendingSeconds: () => {
      const since = store.deliveries.oldestPending();
      return since === null ? 0 : Math.max(0, (clock.schedule() - since) / 1000);
    },
    socketConnections: ingest.connections,
    requestsInFlight: worker.inFlight,
    databaseBytes: () => databaseBytes(config.dataDir),
    storeWritable: () => store.database.fault() === null,
  });

  /** Notices what the command line changed, and whether a store that could not write now can. */
  const tick = (): void => {
    try {
      directory.refresh();
      if (store.database.fault() !== null) store.saveClock();
      if (lastUsed.size > 0) {
        store.apiKeys.markUsed(lastUsed);
        lastUsed.clear();
      }
    } catch {
      // The store has said why; the next tick tries again.
    }
  };
  const saveClock = (): void => {
    try {
      store.saveClock();
    } catch {
      // As above.
    }
  };
  const timers: ReturnType<typeof setInterval>[] = [];

  return {
    store,
    async start(prepare = () => {}) {
      try {
        store.loadExternalIds();
        await ingest.start();
        const url = await listen(app, config, observer.faultOf("http server"));
        prepare();
        if (!config.paused) worker.start();
        timers.push(setInterval(tick, TICK_MS), setInterval(saveClock, CLOCK_MS));
        pruner.start();
        accepting = true;
        return { url, socket: config.socket };
      } catch (error) {
        ingest.stop();
        store.close();
        lock.release();
        throw error;
      }
    },
    async stop() {
      accepting = false;
      ingest.stop();
      for (const timer of timers) clearInterval(timer);
      pruner.stop();
      const drained = await worker.stop(config.shutdownTimeout);
      notifier.stop();
      await app.stop(true);
      transport.close();
      tick();
      saveClock();
      await store.database.finishCheckpoints();
      store.close();
      lock.release();
      return drained;
    },
  };
}

function openOrRelease({ dataDir, secretKeyFile }: Config, log: Logger, lock: { release(): void }) {
  try {
    const store = openStore({ dataDir, log, checkpointBeside: true });
    const box = openSecretBox(store, secretKeySource(dataDir, secretKeyFile));
    store.useSecretBox(box);
    return { store, box };
  } catch (error) {
    lock.release();
    throw error;
  }
}

const OWN_ADDRESSES_MS = 1_000;

/** This machine's own addresses, asked for once a second at most: the kernel's answer costs more than an attempt. */
function createOwnAddresses(): () => readonly string[] {
  let known: string[] = [];
  let until = 0;
  return () => {
    if (performance.now() < until) return known;
    known = Object.values(networkInterfaces()).flatMap((list) => (list ?? []).map(({ address }) => address));
    until = performance.now() + OWN_ADDRESSES_MS;
    return known;
  };
}

function databaseBytes(dataDir: string): number {
  const path = join(dataDir, DATABASE_FILE);
  return [path, `${path}-wal`].reduce(
    (sum, file) => sum + (statSync(file, { throwIfNoEntry: false })?.size ?? 0),
    0,
  );
}

function testMessage(store: Store): { eventId: string; body: string } {
  const timestamp = new Date(store.clock.wall()).toISOString();
  return {
    eventId: store.formatId(store.newId()),
    body: `{"event":"test","tier":"green","action":"allow","risk_score":0,"signals":[],"latency_ms":0,"timestamp":"${timestamp}"}`,
  };
}

/** Longer than any attempt that `test` may wait for, and than a recovery takes between two steps. */
const IDLE_SECONDS = 120;

async function listen(
  app: ReturnType<typeof createApp>,
  { host, port }: Config,
  onFault: (error: unknown) => void,
): Promise<string> {
  try {
    app.listen({
      hostname: host,
      port,
      idleTimeout: IDLE_SECONDS,
      // Two processes sharing a port would each get some of the requests.
      reusePort: false,
      development: false,
      maxRequestBodySize: 1024 * 1024,
      // What fails before Elysia's own error handler: Bun would answer with a page of its own.
      error: (error) => {
        onFault(error);
        return Response.json(
          envelope(
            toAppError(error, () => {}),
            newRequestId(),
          ),
          { status: 500 },
        );
      },
    });
  } catch (error) {
    throw new UsageError(`cannot listen on ${host} port ${port}: ${messageOf(error)}`, 1);
  }
  const server = app.server;
  if (!server) throw new UsageError(`cannot listen on ${host} port ${port}`, 1);
  return `http://${host.includes(":") ? `[${host}]` : host}:${server.port}`;
}
