import type { Clock } from "../clock.ts";
import type { ApiKeys } from "./api-keys.ts";
import type { Bootstrap } from "./bootstrap.ts";
import type { Daemons } from "./daemons.ts";
import type { DeliveryQueue } from "./delivery-queue.ts";
import type { EventHistory } from "./event-history.ts";
import type { EventLog } from "./event-log.ts";
import type { History } from "./history.ts";
import type { Ids } from "./ids.ts";
import type { Leases } from "./leases.ts";
import type { Organizations } from "./organizations.ts";
import type { Overview } from "./overview.ts";
import type { Retention } from "./retention.ts";
import type { Secrets } from "./secrets.ts";
import type { Statistics } from "./statistics.ts";
import type { Webhooks } from "./webhooks.ts";

/**
 * Everything that is kept, behind ports that say nothing of the database: another one can be put behind them.
 * What takes or gives many at once, and all that the API and the command line read and write, is a promise; nothing
 * is a promise for each event or delivery.
 */
export interface Store {
  /** Where it is, for people: the database's file, or its address without password. */
  place: string;
  /** The clock that decides what is due. */
  clock: Clock;
  ids: Ids;
  bootstrap: Bootstrap;
  organizations: Organizations;
  apiKeys: ApiKeys;
  webhooks: Webhooks;
  eventLog: EventLog;
  deliveryQueue: DeliveryQueue;
  history: History;
  eventHistory: EventHistory;
  statistics: Statistics;
  retention: Retention;
  leases: Leases;
  /** The daemons that share it; null where one has it for itself. */
  daemons: Daemons | null;
  overview: Overview;
  secrets: Secrets;
  /** Null while writing works, otherwise why the last write failed. A resident store finds out by itself when it works again. */
  fault(): string | null;
  /** Writes down what is only noted so far, and lets go of the store. Never rejects. */
  close(): Promise<void>;
}
