import { useMemo, useState } from "preact/hooks";
import type { Statistics, Webhook } from "../../client/index.ts";
import { go, paths } from "../address.ts";
import { useNow } from "../hooks.ts";
import { usePage } from "../page-context.ts";
import { Badge, Loading, Problem, Tier, Time, View } from "../parts/basics.tsx";
import { FirstSteps } from "../parts/first-steps.tsx";
import { StatisticsChart, useStatistics } from "../parts/live-chart.tsx";
import { useReasons } from "../reasons.ts";
import { byGravity, type State, stateOf } from "../state.ts";
import { count, nameOf, shortUrl, tierOf } from "../words.ts";

/** Is it delivering; what is not, and why. */
export function Overview() {
  const { webhooks, isReadOnly } = usePage();
  const list = webhooks.value;
  return (
    <View title="Webhooks">
      <Problem error={webhooks.error} onRetry={webhooks.reload} />
      {!list && webhooks.isLoading && <Loading />}
      {list?.length === 0 && <FirstSteps isReadOnly={isReadOnly} />}
      {list && list.length > 0 && <Known webhooks={list} />}
    </View>
  );
}

type States = ReadonlyMap<string, State>;

function Known({ webhooks }: { webhooks: readonly Webhook[] }) {
  const stats = useStatistics();
  const reasons = useReasons(webhooks, stats.value);
  const now = useNow();
  const states = useMemo(
    () => new Map(webhooks.map((one) => [one.id, stateOf(one, reasons.get(one.id), now)])),
    [webhooks, reasons, now],
  );
  return (
    <>
      <Verdict webhooks={webhooks} states={states} />
      <StatisticsChart stats={stats} />
      <WebhookList webhooks={webhooks} states={states} stats={stats.value} />
    </>
  );
}

/** In this order after the verdict, with the words that go with a number. */
const COUNTED: readonly [State["name"], string][] = [
  ["disabled", "disabled"],
  ["failing", "failing"],
  ["waiting", "waiting"],
  ["off", "turned off"],
  ["healthy", "healthy"],
];

function Verdict({ webhooks, states }: { webhooks: readonly Webhook[]; states: States }) {
  const of = (name: State["name"]): number =>
    webhooks.filter(({ id }) => states.get(id)?.name === name).length;
  const bad = of("disabled") + of("failing");
  const all = count(webhooks.length, "webhook");
  const parts = COUNTED.filter(([name]) => of(name) > 0).map(
    ([name, word]) => `${of(name).toLocaleString("en")} ${word}`,
  );
  return (
    <header class={`verdict ${bad > 0 ? "bad" : "good"}`}>
      <h1>
        {bad === 0
          ? "Everything is being delivered."
          : `${bad.toLocaleString("en")} of ${all} ${bad === 1 ? "needs" : "need"} attention.`}
      </h1>
      <p class="quiet">{[all, ...parts].join(" · ")}</p>
    </header>
  );
}

/** Rows drawn at first: the gravest come first, and the field finds any. */
const SHOWN = 100;

function WebhookList({
  webhooks,
  states,
  stats,
}: {
  webhooks: readonly Webhook[];
  states: States;
  stats: Statistics | undefined;
}) {
  const { isReadOnly } = usePage();
  const [sought, seek] = useState("");
  const [shown, show] = useState(SHOWN);
  const rates = useMemo(() => ratesOf(stats), [stats]);
  const found = useMemo(() => {
    const text = sought.trim().toLowerCase();
    const matches = webhooks.filter(
      (one) => text === "" || `${one.name ?? ""} ${one.url} ${one.id}`.toLowerCase().includes(text),
    );
    return matches.toSorted(byGravity(states));
  }, [webhooks, sought, states]);
  return (
    <section aria-label="All of them">
      <div class="bar">
        <label class="find">
          <span class="hidden">Find by name or address</span>
          <input
            type="search"
            placeholder="Find by name or address"
            value={sought}
            onInput={(event) => seek(event.currentTarget.value)}
          />
        </label>
        {!isReadOnly && (
          <button type="button" class="primary" onClick={() => go(paths.newWebhook)}>
            New webhook
          </button>
        )}
      </div>
      <ul class="rows webhooks" aria-label="Webhooks">
        {found.slice(0, shown).map((webhook) => (
          <Row
            key={webhook.id}
            webhook={webhook}
            state={states.get(webhook.id) as State}
            rate={rates.get(webhook.id)}
          />
        ))}
      </ul>
      {found.length === 0 && <p class="quiet">None has “{sought}” in its name or address.</p>}
      {found.length > shown && (
        <button type="button" onClick={() => show(shown + SHOWN * 5)}>
          Show more ({(found.length - shown).toLocaleString("en")} left)
        </button>
      )}
    </section>
  );
}

interface Rate {
  delivered: number;
  failed: number;
}

function ratesOf(stats: Statistics | undefined): ReadonlyMap<string, Rate> {
  return new Map(
    (stats?.webhooks ?? []).map(({ webhook_id, points }) => [
      webhook_id,
      {
        delivered: points.reduce((sum, point) => sum + point.delivered, 0),
        failed: points.reduce((sum, point) => sum + point.failed, 0),
      },
    ]),
  );
}

function Row({ webhook, state, rate }: { webhook: Webhook; state: State; rate: Rate | undefined }) {
  const isQuiet = state.name === "healthy" || state.name === "off";
  return (
    <li>
      <Badge state={state} />
      <div class="what">
        <a class="name" href={paths.webhook(webhook.id)}>
          {nameOf(webhook)}
        </a>
        <span class="url quiet">{restOf(webhook)}</span>
        {!isQuiet && <p class="why">{state.why}</p>}
      </div>
      <span class="tiers">
        {webhook.events.map((event) => (
          <Tier key={event} tier={tierOf(event)} />
        ))}
      </span>
      <span class="rate">
        {rate ? (
          <>
            {rate.delivered.toLocaleString("en")} <span class="quiet">an hour</span>
            {rate.failed > 0 && <span class="failed"> {rate.failed.toLocaleString("en")} failed</span>}
          </>
        ) : null}
      </span>
      <span class="when quiet">
        {webhook.last_triggered_at ? <Time at={webhook.last_triggered_at} /> : "nothing sent yet"}
      </span>
    </li>
  );
}

/** What the name does not say of the address. */
function restOf({ name, url }: Webhook): string {
  return name === undefined ? url.slice(new URL(url).origin.length) : shortUrl(url);
}
