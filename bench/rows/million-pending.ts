import { check, type Row } from "../support/bench.ts";
import { install } from "../support/installation.ts";
import type { StoreMethods } from "../support/programs/store.ts";
import { startReceiver } from "../support/receiver.ts";
import { webhooksAt } from "../support/scenarios.ts";
import { formatBytes, formatMs } from "../support/statistics.ts";

const WEBHOOKS = 100;
/** Memory is looked at while the backlog drains. */
const WATCH_MS = 5_000;
/** The runtime collects garbage by the memory of its machine: twice as often where there are less than 16 GB. */
const SMALL_MACHINE = { BUN_JSC_forceRAMSize: "8000000000" };
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
    const { firstAt, count } = await receiver.report();
    const { peak } = daemon.memory();
    check("requests come", count > 0);
    await daemon.stop();
    const small = await installation.start([], SMALL_MACHINE);
    await Bun.sleep(WATCH_MS);
    const all = await receiver.report();
    const smallPeak = small.memory().peak;
    await small.stop();
    check("requests come again", all.count > count);
    check(`no request came twice (${all.count}, ${all.distinct} different)`, all.count === all.distinct);
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
        note: `${formatBytes(atStart)} when ready; as on a machine of 8 GB, ${formatBytes(smallPeak)} at the peak; ${count.toLocaleString("en")} were delivered in the first ${WATCH_MS / 1000} s`,
        values: { ready, first, atStart, peak, smallPeak, delivered: count },
      },
    ];
  },
};
