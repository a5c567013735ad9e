import { hostname, networkInterfaces } from "node:os";
import { createApp } from "./api/app.ts";
import { envelope, toAppError } from "./api/errors.ts";
import { createRateLimiter } from "./api/rate-limit.ts";
import { toWall } from "./clock.ts";
import { type Config, trustedRoots } from "./config.ts";
import { createDeliveryEngine } from "./delivery/engine.ts";
import { createTransport } from "./delivery/http/transport.ts";
import { type Lookup, shareLookups } from "./delivery/resolver.ts";
import { createSender } from "./delivery/send.ts";
import { createSettingsLoader } from "./delivery/settings.ts";
import { systemResolve } from "./delivery/system-resolve.ts";
import { createTargetGuard } from "./delivery/target-guard.ts";
import { createDescriptorWatch } from "./descriptor-watch.ts";
import { descriptorLimit, descriptorsAreOut, openDescriptors, shareDescriptors } from "./descriptors.ts";
import { messageOf, UsageError } from "./errors.ts";
import { createEventIntake } from "./event-intake.ts";
import { newRequestId } from "./ids.ts";
import { createIngestServer } from "./ingest/server.ts";
import type { Logger } from "./log.ts";
import { createMetrics } from "./metrics.ts";
import { createNotifier, NOTICE_PURPOSE } from "./notifier.ts";
import { createObserver } from "./observer.ts";
import { createOrganizationDirectory } from "./organization-directory.ts";
import { createOutcomeStream } from "./outcome-stream.ts";
import { createPruner } from "./pruner.ts";
import { secretKeySource } from "./secrets/key-file.ts";
import { lockDataDir } from "./store/sqlite/lock.ts";
import { openSqliteStore, type SqliteStore } from "./store/sqlite/store.ts";
import type { Store } from "./store/store.ts";
import { VERSION } from "./version.ts";

export interface Daemon {
  /**
   * Begins to take events, to deliver and to serve; throws UsageError for what the operator can mend. `prepare` runs
   * once nothing else can fail, before the first event is read.
   */
  start(prepare?: () => Promise<void>): Promise<{ url: string; socket: string }>;
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

/** Puts the parts together. Nothing here knows how any of them works. */
export async function createDaemon({ config, log, resolve = systemResolve }: DaemonOptions): Promise<Daemon> {
  const lock = lockDataDir(config.dataDir);
  const store = openOrRelease(config, log, lock);
  const { clock } = store;
  const metrics = createMetrics();
  let accepting = false;

  const guard = createTargetGuard({
    allowNetworks: config.allowNetworks,
    ownAddresses: createOwnAddresses(),
  });
  const notifier = await createNotifier({
    url: config.notifyUrl,
    secret: store.secrets.derive(NOTICE_PURPOSE),
    store,
    log,
    caFile: config.caFile,
    proxy: config.proxy,
  });
  const stream = createOutcomeStream();
  const observer = createObserver({
    store,
    log,
    metrics,
    stream,
    onAttempt: notifier.attempted,
    onDisabled: notifier.disabled,
  });
  const shares = shareDescriptors(descriptorLimit(), openDescriptors());
  const concurrency = Math.min(config.concurrency, shares.sending);
  const socketConnections = Math.min(config.socketConnections, shares.scanners);
  if (concurrency < config.concurrency || socketConnections < config.socketConnections) {
    log.info("file descriptors allow fewer connections than the options", {
      descriptors: descriptorLimit(),
      concurrency,
      socket_connections: socketConnections,
    });
  }
  const descriptors = createDescriptorWatch({
    log,
    relieve: () => {
      transport.closeIdle();
      app.server?.closeIdleConnections();
    },
  });
  const transport = createTransport({
    ca: trustedRoots(config.caFile),
    ...connectionLimits(shares.sending, concurrency),
    onShortage: () => descriptors.noteShortage("a request"),
  });
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
    proxy: config.proxy,
    onFault: observer.faultOf("sending"),
  });
  const engine = createDeliveryEngine({
    deliveries: store.deliveryQueue,
    load: createSettingsLoader({ webhooks: store.webhooks, sender }),
    formatId: store.ids.format,
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
    concurrency,
    webhookConcurrency: Math.min(config.webhookConcurrency, concurrency),
    requestTimeoutMs: config.requestTimeout,
  });
  const directory = createOrganizationDirectory(store.organizations);
  const pruner = createPruner({
    store,
    retentionMs: config.retention,
    metrics,
    onFault: observer.faultOf("pruning"),
  });

  const ingest = createIngestServer({
    path: config.socket,
    mode: config.socketMode,
    maxConnections: socketConnections,
    isShort: descriptorsAreOut,
    onTurnedAway: () => {
      if (socketConnections < config.socketConnections || descriptorsAreOut())
        descriptors.noteShortage("a scanner");
    },
    now: clock.wall,
    organizations: directory,
    store: createEventIntake({ store, engine, metrics, log, stream }),
    whenDurable: store.eventLog.whenDurable,
    makeDurable: store.eventLog.makeDurable,
    onRefused: (code) => metrics.refusedLines.add(code),
    onCutOff: () => {
      metrics.cutLines.inc();
      log.info("line cut off");
    },
    onFault: observer.faultOf("ingest"),
  });

  const viewer = { formatId: store.ids.format, toWall: (time: number) => toWall(clock, time) };
  const app = createApp({
    version: VERSION,
    gate: {
      identify: store.apiKeys.identify,
      limiter: createRateLimiter(() => performance.now()),
      now: clock.wall,
    },
    webhooks: {
      webhooks: store.webhooks,
      urlRules: { allowHttp: config.allowHttp, isBlockedHost: (host) => guard.checkHost(host) === "blocked" },
      maxWebhooks: config.maxWebhooks,
      onChanged: (webhook, organization, change) => {
        engine.reload(webhook.id);
        observer.webhookChanged(organization.uuid, webhook, { change });
      },
      sendTest: (webhookId) => engine.sendTest(webhookId, testMessage(store)),
    },
    deliveries: {
      webhooks: store.webhooks,
      history: store.history,
      viewer,
      parseId: store.ids.parse,
      recover: ({ id }, range) => engine.recover({ webhookId: id, ...range }),
      retry: ({ id, webhookId }) => engine.retry(webhookId, id),
      now: clock.wall,
    },
    events: { history: store.eventHistory, viewer, parseId: store.ids.parse },
    statistics: { statistics: store.statistics, now: clock.wall },
    stream: { open: stream.open },
    operations: {
      version: VERSION,
      isHealthy: () => accepting && store.fault() === null,
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
    pendingDeliveries: store.overview.countPending,
    oldestPendingSeconds: async () => {
      const since = await store.overview.oldestPending();
      return since === null ? 0 : Math.max(0, (clock.schedule() - since) / 1000);
    },
    socketConnections: ingest.connections,
    requestsInFlight: engine.inFlight,
    webhooksWaiting: engine.waiting,
    databaseBytes: store.overview.bytes,
    storeWritable: () => store.fault() === null,
  });

  return {
    store,
    async start(prepare = async () => {}) {
      try {
        await ingest.start();
        const url = await listen(app, config, observer.faultOf("http server"));
        await prepare();
        if (!config.paused) engine.start();
        pruner.start();
        descriptors.start();
        accepting = true;
        return { url, socket: config.socket };
      } catch (error) {
        await ingest.stop();
        await store.close();
        lock.release();
        throw error;
      }
    },
    async stop() {
      accepting = false;
      descriptors.stop();
      await ingest.stop();
      await pruner.stop();
      const drained = await engine.stop(config.shutdownTimeout);
      notifier.stop();
      await stream.close();
      await app.stop(true);
      transport.close();
      await store.close();
      lock.release();
      return drained;
    },
  };
}

function openOrRelease(
  { dataDir, secretKeyFile }: Config,
  log: Logger,
  lock: { release(): void },
): SqliteStore {
  try {
    const secretKey = secretKeySource(dataDir, secretKeyFile);
    return openSqliteStore({ dataDir, log, secretKey, resident: true });
  } catch (error) {
    lock.release();
    throw error;
  }
}

/** However few requests are in flight, hundreds of hosts are kept warm. */
const WARM_CONNECTIONS = 512;

/** Those that idle take up what those in flight leave, in descriptors and in memory. */
function connectionLimits(descriptors: number, concurrency: number) {
  const maxConnections = Math.min(descriptors, concurrency + WARM_CONNECTIONS);
  return { maxConnections, maxIdle: maxConnections };
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

function testMessage(store: Store): { eventId: string; body: string } {
  const timestamp = new Date(store.clock.wall()).toISOString();
  return {
    eventId: store.ids.format(store.ids.next()),
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
