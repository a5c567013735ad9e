import type { DeliveryEngine } from "./delivery/engine.ts";
import type { IngestServer } from "./ingest/server.ts";
import type { Metrics } from "./metrics.ts";
import type { Store } from "./store/store.ts";

export interface GaugeParts {
  store: Pick<Store, "clock" | "daemons" | "fault" | "overview">;
  engine: Pick<DeliveryEngine, "inFlight" | "waiting">;
  ingest: Pick<IngestServer, "connections">;
}

/** Has the metrics read, when they are asked for, what the parts of a daemon can say. */
export function watchGauges(metrics: Metrics, { store, engine, ingest }: GaugeParts): void {
  const { overview, clock, daemons } = store;
  if (daemons) {
    metrics.watchDaemons({ daemons: async () => (await daemons.list()).length, held: daemons.held });
  }
  metrics.watch({
    pendingDeliveries: overview.countPending,
    oldestPendingSeconds: async () => {
      const since = await overview.oldestPending();
      return since === null ? 0 : Math.max(0, (clock.schedule() - since) / 1000);
    },
    socketConnections: ingest.connections,
    requestsInFlight: engine.inFlight,
    webhooksWaiting: engine.waiting,
    databaseBytes: overview.bytes,
    storeWritable: () => store.fault() === null,
  });
}
