import { expect, test } from "bun:test";
import { createSettingsLoader } from "../../src/delivery/settings.ts";
import type { Target, TargetInput } from "../../src/delivery/target.ts";
import type { LoadedWebhook, Webhook } from "../../src/store/webhooks.ts";

async function load(webhook: Partial<Webhook>, rest: Partial<LoadedWebhook> = {}) {
  let input: TargetInput | undefined;
  const settings = await createSettingsLoader({
    webhooks: {
      load: async () =>
        ({
          webhook: {
            format: "json",
            enabled: true,
            group: null,
            rateLimitPerMinute: null,
            ...webhook,
          } as Webhook,
          organizationUuid: "organization",
          secret: "now",
          rotatedSecrets: [],
          headers: null,
          ...rest,
        }) as LoadedWebhook,
    },
    sender: {
      createTarget: (given) => {
        input = given;
        return {} as Target;
      },
    },
  })(1);
  return { settings, input };
}

test.each([
  ["json", {}, null, false],
  ["slack", {}, { perMinute: 60, burst: 1 }, true],
  ["discord", {}, { perMinute: 30, burst: 5 }, true],
  ["teams", {}, { perMinute: 120, burst: 1 }, true],
  ["pagerduty", {}, { perMinute: 120, burst: 1 }, false],
  ["slack", { group: false }, { perMinute: 60, burst: 1 }, false],
  ["slack", { rateLimitPerMinute: 600 }, { perMinute: 600, burst: 1 }, true],
  ["json", { rateLimitPerMinute: 7 }, { perMinute: 7, burst: 1 }, false],
] as const)(
  "%s with %j: its pace, and whether deliveries share messages",
  async (format, options, pace, isGrouped) => {
    const { settings } = await load({ format, ...options });
    expect(settings).toMatchObject({ pace, isGrouped });
  },
);

test("signs with every secret that still counts, and is loaded anew when the first of them ends", async () => {
  const rotatedSecrets = [
    { secret: "before", expiresAt: 200 },
    { secret: "long before", expiresAt: 100 },
  ];
  const { settings, input } = await load({}, { rotatedSecrets });
  expect(input?.secrets).toEqual(["now", "before", "long before"]);
  expect(settings?.targetUntil).toBe(100);
  expect((await load({})).settings?.targetUntil).toBe(Number.POSITIVE_INFINITY);
});
