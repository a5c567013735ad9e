import { describe } from "bun:test";
import { apiKeysConform } from "./conformance/api-keys.ts";
import { deliveryQueueConforms } from "./conformance/delivery-queue.ts";
import { eventHistoryConforms } from "./conformance/event-history.ts";
import { eventLogConforms } from "./conformance/event-log.ts";
import type { Harness } from "./conformance/harness.ts";
import { historyConforms } from "./conformance/history.ts";
import { deliveriesConform } from "./conformance/model.ts";
import { organizationsConform } from "./conformance/organizations.ts";
import { statisticsConform } from "./conformance/statistics.ts";
import { storeConforms } from "./conformance/store.ts";
import { webhooksConform } from "./conformance/webhooks.ts";

/**
 * What every store must do, whatever database is behind its ports: written against the ports alone. A store is
 * checked by a test file of its own, which calls this with a way to open it. What only one kind of store has
 * (watermarks, runs, checkpoints) is tested beside it.
 */
export function storeConformance(name: string, harness: Harness): void {
  describe(`${name} conforms:`, () => {
    storeConforms(harness);
    organizationsConform(harness);
    apiKeysConform(harness);
    webhooksConform(harness);
    eventLogConforms(harness);
    deliveryQueueConforms(harness);
    historyConforms(harness);
    eventHistoryConforms(harness);
    statisticsConform(harness);
    deliveriesConform(harness);
  });
}
