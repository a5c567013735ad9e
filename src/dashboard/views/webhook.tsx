import { useMemo } from "preact/hooks";
import { NotFoundError, type Webhook } from "../../client/index.ts";
import { useAction, useNow } from "../hooks.ts";
import { usePage } from "../page-context.ts";
import { Badge, Done, Loading, Problem, View } from "../parts/basics.tsx";
import { DeleteWebhook } from "../parts/delete-webhook.tsx";
import { LiveChart } from "../parts/live-chart.tsx";
import { RecoverWebhook } from "../parts/recover-webhook.tsx";
import { RotateSecret } from "../parts/rotate-secret.tsx";
import { WebhookDeliveries } from "../parts/webhook-deliveries.tsx";
import { WebhookSettings } from "../parts/webhook-settings.tsx";
import { useReasons } from "../reasons.ts";
import { type State, stateOf } from "../state.ts";
import { nameOf, shortUrl } from "../words.ts";
import { NotFound } from "./not-found.tsx";

/** One webhook: how it fares, what was sent to it, and what can be done about it. */
export function WebhookView({ id }: { id: string }) {
  const { webhooks } = usePage();
  const webhook = webhooks.value?.find((one) => one.id === id);
  if (webhook) return <Known key={id} webhook={webhook} />;
  if (webhooks.isLoading) {
    return (
      <View title="Webhook">
        <Loading />
      </View>
    );
  }
  if (webhooks.error && !(webhooks.error instanceof NotFoundError)) {
    return (
      <View title="Webhook">
        <Problem error={webhooks.error} onRetry={webhooks.reload} />
      </View>
    );
  }
  return <NotFound what="There is no such webhook." />;
}

function Known({ webhook }: { webhook: Webhook }) {
  const { isReadOnly } = usePage();
  return (
    <View title={nameOf(webhook)}>
      <Head webhook={webhook} />
      <div class="columns">
        <div>
          <LiveChart webhookId={webhook.id} />
          <WebhookDeliveries webhook={webhook} />
        </div>
        <aside aria-label="Settings">
          <WebhookSettings webhook={webhook} />
          {!isReadOnly && (
            <>
              <RecoverWebhook webhook={webhook} />
              <RotateSecret webhook={webhook} />
              <DeleteWebhook webhook={webhook} />
            </>
          )}
        </aside>
      </div>
    </View>
  );
}

function Head({ webhook }: { webhook: Webhook }) {
  const { client, webhooks, isReadOnly } = usePage();
  const state = useStateOf(webhook);
  const test = useAction(() => client.testWebhook(webhook.id));
  const turn = useAction(async (enabled: boolean) => {
    const changed = await client.updateWebhook(webhook.id, { enabled });
    webhooks.change((list) => list.map((one) => (one.id === changed.id ? changed : one)));
  });
  const tested = test.result;
  return (
    <header class="head">
      <div class="title">
        <h1>{nameOf(webhook)}</h1>
        <Badge state={state} />
      </div>
      <p class="url quiet">{shortUrl(webhook.url)}</p>
      <p class={`why ${state.name}`}>{state.why}</p>
      {!isReadOnly && (
        <div class="line">
          <button type="button" onClick={() => test.run()} disabled={test.isRunning}>
            Test
          </button>
          <button type="button" onClick={() => turn.run(!webhook.enabled)} disabled={turn.isRunning}>
            {webhook.enabled ? "Turn off" : "Enable"}
          </button>
          {test.isRunning && (
            <span class="quiet" role="status">
              A signed request is on its way…
            </span>
          )}
        </div>
      )}
      {tested?.success && (
        <Done>The receiver answered {tested.status}: it can be reached, and takes what is sent.</Done>
      )}
      {tested && !tested.success && (
        <p class="notice bad" role="alert">
          {tested.error}
        </p>
      )}
      <Problem error={test.error ?? turn.error} />
    </header>
  );
}

function useStateOf(webhook: Webhook): State {
  const now = useNow();
  const one = useMemo(() => [webhook], [webhook]);
  const reasons = useReasons(one);
  return stateOf(webhook, reasons.get(webhook.id), now);
}
