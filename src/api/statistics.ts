import { Elysia } from "elysia";
import type { Statistics } from "../store/statistics.ts";
import { pointsOf, stepsOf, timesOf } from "./chart.ts";
import { type RequestContexts, withOrganization } from "./context.ts";
import { listOf, ref, wrap } from "./document-parts.ts";
import { documentRoute } from "./documents.ts";
import { READ_JSON } from "./gate.ts";
import { statisticsQuery } from "./schemas.ts";
import { found } from "./webhooks.ts";

export interface StatisticsRouteOptions {
  contexts: RequestContexts;
  statistics: Statistics;
  /** Wall time, milliseconds since 1970. */
  now: () => number;
}

const DEFAULT_MINUTES = 60;

/** How webhooks have been doing, as charts want it. */
export function statisticsRoutes({ contexts, statistics, now }: StatisticsRouteOptions) {
  return new Elysia({ prefix: "/v1/stats", normalize: false, tags: ["Events"] })
    .use(withOrganization(contexts))
    .get(
      "/",
      async ({ organization, query }) => {
        const steps = stepsOf(Number(query.minutes ?? DEFAULT_MINUTES), now());
        const webhookUuid = query.webhook_id?.toLowerCase() ?? null;
        const webhooks = await statistics.steps({ organizationId: organization.id, webhookUuid, ...steps });
        if (webhookUuid !== null) found(webhooks[0] ?? null);
        const times = timesOf(steps).map((time) => new Date(time).toISOString());
        return {
          from: times[0],
          to: new Date(steps.to).toISOString(),
          step_seconds: steps.stepMs / 1000,
          webhooks: webhooks.map((one) => ({
            webhook_id: one.webhookUuid,
            points: pointsOf(one.steps, steps).map(({ p50, p99, ...counts }, i) => ({
              at: times[i],
              ...counts,
              p50_ms: p50,
              p99_ms: p99,
            })),
          })),
        };
      },
      {
        parse: READ_JSON,
        query: statisticsQuery,
        detail: documentRoute({
          summary: "Statistics",
          description:
            "What came of each webhook's requests over the latest minutes, the present one included: one point for each step, also where nothing happened. Steps are a minute for up to 144 minutes, and longer beyond. `attempts` are requests made; `delivered` and `failed` are deliveries that ended; `p50_ms` and `p99_ms` are how long attempts took, at most 6 % off, and null without any.",
          status: 200,
          answer: "The points of each webhook, newest webhook first.",
          schema: wrap({
            from: { type: "string", format: "date-time", example: "2026-01-15T09:01:00.000Z" },
            to: { type: "string", format: "date-time", example: "2026-01-15T10:01:00.000Z" },
            step_seconds: { type: "integer", example: 60 },
            webhooks: listOf(ref("WebhookStatistics")),
          }),
          mayNameWebhook: true,
        }),
      },
    );
}
