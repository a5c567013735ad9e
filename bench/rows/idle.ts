import { join } from "node:path";
import type { Row } from "../support/bench.ts";
import { startDaemon } from "../support/daemon.ts";
import { formatBytes, formatMs, median } from "../support/statistics.ts";

const SETTLE_MS = 2_000;
const [GOAL_BYTES, GOAL_MS] = [70e6, 250];

export const idleRow: Row = {
  name: "idle",
  async run(bench) {
    const starts: number[] = [];
    const memory: number[] = [];
    for (let i = 0; i < bench.size(7, 3); i += 1) {
      const daemon = await startDaemon(bench, { dataDir: join(bench.newDir(), "data") });
      starts.push(daemon.readyAt - daemon.spawnedAt);
      await Bun.sleep(SETTLE_MS);
      memory.push(daemon.memory().resident);
      await daemon.stop();
    }
    const [resident, ready] = [median(memory), median(starts)];
    return [
      {
        name: "idle: resident memory, start on an empty directory until ready",
        figure: `${formatBytes(resident)}, ${formatMs(ready)}`,
        limit: "",
        ratio: "",
        goal: "70 MB, 250 ms",
        reached: resident <= GOAL_BYTES && ready <= GOAL_MS,
        values: { resident, ready },
      },
    ];
  },
};
