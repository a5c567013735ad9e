import { useThrottled } from "./hooks.ts";
import { afterAttempts, dataOf } from "./outcomes.ts";
import { useOutcomes, usePage } from "./page-context.ts";

/** The list of webhooks is asked for again no more often than this. */
const REFRESH_MS = 5_000;

/** Keeps the list of webhooks as the stream tells it. Shows nothing. */
export function KeepUp() {
  const { webhooks } = usePage();
  const refresh = useThrottled(webhooks.reload, REFRESH_MS);
  useOutcomes((outcomes, missed) => {
    if (missed || outcomes.some(({ type }) => type === "webhook")) refresh();
    const attempts = dataOf(outcomes, "attempt");
    if (attempts.length > 0) webhooks.change((list) => afterAttempts(list, attempts, Date.now()));
  });
  return null;
}
