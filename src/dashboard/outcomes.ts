import type { Delivery, Outcome, StatisticsPoint, Webhook, WebhookEvent } from "../client/index.ts";

type OfType<Type extends Outcome["type"]> = Extract<Outcome, { type: Type }>["data"];
export type AttemptMade = OfType<"attempt">;

/** A delivery as a list shows it; what the stream alone has told of it lacks the tier. */
export type DeliveryRow = Omit<Delivery, "event"> & { event: WebhookEvent | null };

/** What the outcomes of a type say. */
export function dataOf<Type extends Outcome["type"]>(
  outcomes: readonly Outcome[],
  type: Type,
): OfType<Type>[] {
  return outcomes.filter((one) => one.type === type).map(({ data }) => data as OfType<Type>);
}

const endsOf = (outcomes: readonly Outcome[], webhookId?: string): OfType<"delivery">[] =>
  dataOf(outcomes, "delivery").filter((end) => webhookId === undefined || end.webhook_id === webhookId);

/** A 429 asks to wait, and is no failure. */
export function isFailure({ error, status }: Pick<AttemptMade, "error" | "status">): boolean {
  return error !== null && status !== 429;
}

/** The webhooks after some attempts: how many failed in a row, and when the latest was made. */
export function afterAttempts(webhooks: Webhook[], attempts: readonly AttemptMade[], now: number): Webhook[] {
  const byWebhook = Map.groupBy(attempts, ({ webhook_id }) => webhook_id);
  if (byWebhook.size === 0) return webhooks;
  return webhooks.map((webhook) => {
    const mine = byWebhook.get(webhook.id);
    if (!mine) return webhook;
    const failures = mine.reduce((count, attempt) => {
      if (attempt.error === null) return 0;
      return isFailure(attempt) ? count + 1 : count;
    }, webhook.failure_count);
    return { ...webhook, failure_count: failures, last_triggered_at: new Date(now).toISOString() };
  });
}

/** Points of a chart after some outcomes, which belong to the present step; begun anew when its time has come. */
export function afterOutcomes(
  points: readonly StatisticsPoint[],
  stepSeconds: number,
  outcomes: readonly Outcome[],
  now: number,
  webhookId?: string,
): StatisticsPoint[] {
  const ends = endsOf(outcomes, webhookId);
  const attempts = dataOf(outcomes, "attempt").filter(
    (attempt) => webhookId === undefined || attempt.webhook_id === webhookId,
  );
  const moved = moveOn(points, stepSeconds * 1000, now);
  const last = moved.at(-1);
  if (!last || ends.length + attempts.length === 0) return moved;
  const delivered = ends.filter(({ status }) => status === "delivered").length;
  const changed = {
    ...last,
    attempts: last.attempts + attempts.length,
    delivered: last.delivered + delivered,
    failed: last.failed + ends.length - delivered,
  };
  return [...moved.slice(0, -1), changed];
}

function moveOn(points: readonly StatisticsPoint[], stepMs: number, now: number): StatisticsPoint[] {
  const moved = [...points];
  for (let last = moved.at(-1); last && Date.parse(last.at) + stepMs <= now; last = moved.at(-1)) {
    const at = new Date(Date.parse(last.at) + stepMs).toISOString();
    moved.push({ at, attempts: 0, delivered: 0, failed: 0, p50_ms: null, p99_ms: null });
    moved.shift();
  }
  return moved;
}

/** The first page of a webhook's deliveries after some outcomes: what is new on top, no more than fit. */
export function afterDeliveries(
  deliveries: readonly DeliveryRow[],
  outcomes: readonly Outcome[],
  {
    webhookId,
    status,
    limit,
    now,
  }: { webhookId: string; status: string | undefined; limit: number; now: number },
): DeliveryRow[] {
  const attempts = dataOf(outcomes, "attempt")
    .filter((attempt) => attempt.webhook_id === webhookId)
    .slice(-2 * limit);
  if (attempts.length === 0) return [...deliveries];
  const rows = new Map(deliveries.map((delivery) => [delivery.id, delivery]));
  const types = new Map(dataOf(outcomes, "event").map(({ id, event }) => [id, event]));
  const ends = new Map(endsOf(outcomes, webhookId).map((end) => [end.id, end.status]));
  for (const attempt of attempts) {
    const before = rows.get(attempt.delivery_id);
    const end = ends.get(attempt.delivery_id);
    rows.set(attempt.delivery_id, {
      id: attempt.delivery_id,
      webhook_id: webhookId,
      event_id: attempt.event_id,
      event: before?.event ?? types.get(attempt.event_id) ?? null,
      status: end ?? "pending",
      attempt_count: attempt.number,
      next_attempt_at: null,
      last_status: attempt.status,
      last_error: attempt.error,
      created_at: before?.created_at ?? timeOf(attempt.delivery_id),
      finished_at: end === undefined ? null : new Date(now).toISOString(),
    });
  }
  return [...rows.values()]
    .filter((row) => status === undefined || row.status === status)
    .sort((one, other) => (one.id < other.id ? 1 : -1))
    .slice(0, limit);
}

/** Ids are UUIDs of version 7 (RFC 9562, section 5.7): they begin with the time they were made at. */
function timeOf(id: string): string {
  return new Date(Number.parseInt(id.replaceAll("-", "").slice(0, 12), 16)).toISOString();
}
