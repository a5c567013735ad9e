import { createApp } from "./api/app.ts";
import { createRateLimiter } from "./api/rate-limit.ts";
import { toWall } from "./clock.ts";
import type { Config } from "./config/config.ts";
import type { DeliveryEngine } from "./delivery/engine.ts";
import type { TargetGuard } from "./delivery/target-guard.ts";
import { messageOf } from "./errors.ts";
import type { Logger } from "./log.ts";
import type { Metrics } from "./metrics.ts";
import type { Observer } from "./observer.ts";
import type { OutcomeStream } from "./outcome-stream.ts";
import type { Store } from "./store/store.ts";
import { VERSION } from "./version.ts";

export interface HttpApiOptions {
  config: Config;
  store: Store;
  engine: DeliveryEngine;
  guard: TargetGuard;
  observer: Pick<Observer, "webhookChanged">;
  stream: Pick<OutcomeStream, "open">;
  metrics: Metrics;
  log: Logger;
  /** Whether work is accepted, as far as the daemon goes. */
  isAccepting: () => boolean;
}

/** The HTTP API on a daemon's store and delivery engine. */
export function createHttpApi(options: HttpApiOptions) {
  const { config, store, engine, guard, observer, stream, metrics, log, isAccepting } = options;
  const { clock } = store;
  const viewer = { formatId: store.ids.format, toWall: (time: number) => toWall(clock, time) };
  return createApp({
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
      isHealthy: () => isAccepting() && store.fault() === null,
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
}

function testMessage({ clock, ids }: Store): { eventId: string; body: string } {
  const timestamp = new Date(clock.wall()).toISOString();
  return {
    eventId: ids.format(ids.next()),
    body: `{"event":"test","tier":"green","action":"allow","risk_score":0,"signals":[],"latency_ms":0,"timestamp":"${timestamp}"}`,
  };
}
