/** Plans of an organization, in the order in which they are listed to people. */
export const PLANS = [
  "personal",
  "trial",
  "pro",
  "starter",
  "education",
  "professional",
  "enterprise",
] as const;

export type Plan = (typeof PLANS)[number];

export const DEFAULT_PLAN: Plan = "professional";

/** The feature that the webhooks API needs. */
export const WEBHOOK_FEATURE = "webhookAlerts";

const WEBHOOK_PLANS: ReadonlySet<Plan> = new Set<Plan>(["professional", "enterprise"]);

/** Whether a plan has `webhookAlerts`: Professional and above (docs/CONTRACT.md, section 1). */
export function hasWebhookAlerts(plan: Plan): boolean {
  return WEBHOOK_PLANS.has(plan);
}

export function isPlan(value: string): value is Plan {
  return (PLANS as readonly string[]).includes(value);
}
