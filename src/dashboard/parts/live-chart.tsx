import { useEffect, useState } from "preact/hooks";
import type { Statistics, StatisticsPoint } from "../../client/index.ts";
import { type Loaded, useLoaded, useThrottled } from "../hooks.ts";
import { afterOutcomes } from "../outcomes.ts";
import { useOutcomes, usePage } from "../page-context.ts";
import { Problem } from "./basics.tsx";
import { Chart } from "./chart.tsx";

/**
 * What the stream adds is only nearly right: something may be left out, or happen while an answer is on its way. So
 * after something has happened it is asked for anew, but no more often than this; of many webhooks that is long.
 */
const REFRESH_MS = 10_000;
const REFRESH_MANY_MS = 60_000;
const MANY = 100;
/** The stream adds to the hour; what is older than one leaves it when it is asked for anew. */
const ANEW_MS = 300_000;
const TICK_MS = 10_000;

/** The last hour of one webhook, or of all; asked for anew now and then, while somebody looks. */
export function useStatistics(webhookId?: string): Loaded<Statistics> {
  const { client } = usePage();
  const stats = useLoaded(() => client.getStatistics({ webhook_id: webhookId }), [client, webhookId]);
  const { reload } = stats;
  const isLong = (stats.value?.webhooks.length ?? 0) > MANY;
  const refresh = useThrottled(reload, isLong ? REFRESH_MANY_MS : REFRESH_MS);
  useOutcomes(refresh);
  useEffect(() => {
    const timer = setInterval(() => document.visibilityState === "visible" && reload(), ANEW_MS);
    return () => clearInterval(timer);
  }, [reload]);
  return stats;
}

export function LiveChart({ webhookId }: { webhookId: string }) {
  return <StatisticsChart stats={useStatistics(webhookId)} about={webhookId} />;
}

/** The chart of some statistics, kept up by the stream between two answers. */
export function StatisticsChart({ stats, about }: { stats: Loaded<Statistics>; about?: string }) {
  const [points, setPoints] = useState<readonly StatisticsPoint[]>([]);
  const step = stats.value?.step_seconds ?? 60;
  useEffect(() => setPoints(addUp(stats.value)), [stats.value]);
  useOutcomes((outcomes) => setPoints((before) => afterOutcomes(before, step, outcomes, Date.now(), about)));
  useEffect(() => {
    const timer = setInterval(
      () => setPoints((before) => afterOutcomes(before, step, [], Date.now())),
      TICK_MS,
    );
    return () => clearInterval(timer);
  }, [step]);
  return (
    <div class="chart-place">
      <Problem error={stats.error} onRetry={stats.reload} />
      {points.length > 0 && <Chart points={points} label="in the last hour" />}
    </div>
  );
}

/** All webhooks together, step by step. */
function addUp(stats: Statistics | undefined): StatisticsPoint[] {
  const [first, ...others] = stats?.webhooks ?? [];
  const sums = (first?.points ?? []).map((point) => ({ ...point }));
  for (const { points } of others) {
    for (const [index, { attempts, delivered, failed }] of points.entries()) {
      const sum = sums[index];
      if (!sum) continue;
      sum.attempts += attempts;
      sum.delivered += delivered;
      sum.failed += failed;
    }
  }
  return sums;
}
