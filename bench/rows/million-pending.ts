import { check, type Row } from "../support/bench.ts";
import { install } from "../support/installation.ts";
import type { StoreMethods } from "../support/programs/store.ts";
import { startReceiver } from "../support/receiver.ts";
import { webhooksAt } from "../support/scenarios.ts";
import { formatBytes, formatMs } from "../support/statistics.ts";

const WEBHOOKS = 100;
/** Memory is looked at while the backlog drains. */
const WATCH_MS = 5_000;
const [GOAL_READY_MS, GOAL_FIRST_MS, GOAL_BYTES] = [1_000, 2_000, 200e6];

export const millionPendingRow: Row = {
  name: "million-pending",
  async run(bench) {
    const deliveries = bench.size(1_000_000, 100_000);
    const receiver = await startReceiver(bench, { ports: WEBHOOKS });
    const installation = await install(bench, { webhooks: webhooksAt(receiver), paused: true });
    await installation.daemon.stop();
    const store = bench.program<StoreMethods>("store");
    const { webhookIds } = await store.call("open", { dataDir: installation.dataDir });
    await store.call("grow", { until: deliveries / WEBHOOKS, ids: "none", webhookIds });
    const { pending } = await store.call("close");
    check(`${deliveries} deliveries are pending (${pending})`, pending === deliveries);

    await receiver.expect(deliveries);
    const daemon = await installation.start();
    const atStart = daemon.memory().resident;
    await Bun.sleep(WATCH_MS);
    const { firstAt, count, distinct } = await receiver.report();
    const { peak } = daemon.memory();
    check("requests come", count > 0);
    check(`no request came twice (${count}, ${distinct} different)`, count === distinct);
    await daemon.stop();
    const ready = daemon.readyAt - daemon.spawnedAt;
    const first = firstAt - daemon.spawnedAt;
    return [
      {
        name: `${deliveries.toLocaleString("en")} pending: until ready, until the first delivery, peak memory`,
        figure: `${formatMs(ready)}, ${formatMs(first)}, ${formatBytes(peak)}`,
        limit: "",
        ratio: "",
        goal: "1 s, 2 s, 200 MB",
        reached: ready <= GOAL_READY_MS && first <= GOAL_FIRST_MS && peak <= GOAL_BYTES,
        note: `${formatBytes(atStart)} when ready; ${count.toLocaleString("en")} were delivered in the first ${WATCH_MS / 1000} s`,
        values: { ready, first, atStart, peak, delivered: count },
      },
    ];
  },
};
