import { hostname } from "node:os";
import { listen } from "./api/listen.ts";
import type { Config } from "./config/config.ts";
import { retryPolicyOf } from "./config/retry-policy.ts";
import { trustedRoots } from "./config/roots.ts";
import { shareConnections } from "./connection-shares.ts";
import { createDeliveryEngine } from "./delivery/engine.ts";
import { createTransport } from "./delivery/http/transport.ts";
import { createOwnAddresses } from "./delivery/own-addresses.ts";
import { type Lookup, shareLookups } from "./delivery/resolver.ts";
import { createSender } from "./delivery/send.ts";
import { createSettingsLoader } from "./delivery/settings.ts";
import { systemResolve } from "./delivery/system-resolve.ts";
import { createTargetGuard } from "./delivery/target-guard.ts";
import { createDescriptorWatch } from "./descriptor-watch.ts";
import { descriptorsAreOut } from "./descriptors.ts";
import { createEventIntake } from "./event-intake.ts";
import { watchGauges } from "./gauges.ts";
import { createHttpApi } from "./http-api.ts";
import { createIngestServer } from "./ingest/server.ts";
import type { Logger } from "./log.ts";
import { createMetrics, type RefusedLineCode } from "./metrics.ts";
import { createNotifier, NOTICE_PURPOSE } from "./notifier.ts";
import { createObserver } from "./observer.ts";
import { createOrganizationDirectory } from "./organization-directory.ts";
import { createOutcomeStream } from "./outcome-stream.ts";
import { createPruner } from "./pruner.ts";
import { secretKeySource } from "./secrets/key-file.ts";
import { lockDataDir, openStore } from "./store/open.ts";
import type { Store } from "./store/store.ts";
import { VERSION } from "./version.ts";

export interface Daemon {
  /**
   * Begins to take events, to deliver and to serve; throws UsageError for what the operator can mend, and has ended all
   * of itself then. `prepare` runs once nothing else can fail, before the first event is read; it is told where the API is.
   */
  start(prepare?: (url: string) => Promise<void>): Promise<{ url: string; socket: string }>;
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

/** Opens what is kept, for this daemon alone, and puts the parts together. Rejects with UsageError. */
export async function createDaemon(options: DaemonOptions): Promise<Daemon> {
  const { dataDir, database, secretKeyFile } = options.config;
  const lock = lockDataDir(dataDir);
  let store: Store | undefined;
  try {
    const secretKey = secretKeySource(dataDir, secretKeyFile);
    store = await openStore({ dataDir, database, log: options.log, secretKey, resident: true });
    return await join(options, store, lock);
  } catch (error) {
    await store?.close();
    lock.release();
    throw error;
  }
}

/** Nothing here knows how any of the parts works. */
async function join(
  { config, log, resolve = systemResolve }: DaemonOptions,
  store: Store,
  lock: { release(): void },
): Promise<Daemon> {
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
  const shares = shareConnections(config, log);
  const descriptors = createDescriptorWatch({
    log,
    relieve: () => {
      transport.closeIdle();
      api.server?.closeIdleConnections();
    },
  });
  const transport = createTransport({
    ca: trustedRoots(config.caFile),
    maxConnections: shares.sending,
    maxIdle: shares.sending,
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
    policy: retryPolicyOf(config),
    concurrency: shares.concurrency,
    webhookConcurrency: Math.min(config.webhookConcurrency, shares.concurrency),
    requestTimeoutMs: config.requestTimeout,
    handshakes: transport.handshakes,
  });
  const pruner = createPruner({
    store,
    retentionMs: config.retention,
    metrics,
    onFault: observer.faultOf("pruning"),
  });

  const ingest = createIngestServer({
    path: config.socket,
    mode: config.socketMode,
    maxConnections: shares.scanners,
    isShort: descriptorsAreOut,
    onTurnedAway: () => {
      if (shares.areScannersCut || descriptorsAreOut()) descriptors.noteShortage("a scanner");
    },
    now: clock.wall,
    organizations: createOrganizationDirectory(store.organizations),
    store: createEventIntake({ store, engine, metrics, log, stream }),
    whenDurable: store.eventLog.whenDurable,
    makeDurable: store.eventLog.makeDurable,
    onRefused: (code) => metrics.refusedLines.add(code as RefusedLineCode),
    onCutOff: () => {
      metrics.cutLines.inc();
      log.info("line cut off");
    },
    onFault: observer.faultOf("ingest"),
  });

  const isAccepting = (): boolean => accepting;
  const api = createHttpApi({ config, store, engine, guard, observer, stream, metrics, log, isAccepting });

  watchGauges(metrics, { store, engine, ingest });

  /** Ends every part, also one that has not begun. */
  const stop = async (): Promise<boolean> => {
    accepting = false;
    descriptors.stop();
    await ingest.stop();
    await pruner.stop();
    const drained = await engine.stop(config.shutdownTimeout);
    notifier.stop();
    await stream.close();
    // What does not listen cannot be stopped.
    if (api.server) await api.stop(true);
    transport.close();
    await store.close();
    lock.release();
    return drained;
  };

  return {
    store,
    async start(prepare = async () => {}) {
      try {
        await ingest.start();
        const url = listen(api, config, observer.faultOf("http server"));
        await prepare(url);
        if (!config.paused) engine.start();
        pruner.start();
        descriptors.start();
        accepting = true;
        return { url, socket: config.socket };
      } catch (error) {
        await stop();
        throw error;
      }
    },
    stop,
  };
}
