import { useState } from "preact/hooks";
import type { Webhook } from "../../client/index.ts";
import { useAction } from "../hooks.ts";
import { usePage } from "../page-context.ts";
import { changesOf, type Draft, draftOf, FORMAT_LABELS } from "../webhook-draft.ts";
import { tierOf } from "../words.ts";
import { Done, Tier, Time } from "./basics.tsx";
import { WebhookForm } from "./webhook-form.tsx";

/** How a webhook is set, and the form that changes it. */
export function WebhookSettings({ webhook }: { webhook: Webhook }) {
  const { client, webhooks, isReadOnly } = usePage();
  const [isOpen, setOpen] = useState(false);
  const save = useAction(async (draft: Draft) => {
    const changed = await client.updateWebhook(webhook.id, changesOf(draft, draftOf(webhook)));
    webhooks.change((list) => list.map((one) => (one.id === changed.id ? changed : one)));
    setOpen(false);
    return true;
  });
  return (
    <section class="card" aria-labelledby="settings-title">
      <h2 id="settings-title">Settings</h2>
      {!isOpen && <Facts webhook={webhook} />}
      {!isOpen && save.result && <Done>Saved. It applies from the next attempt on.</Done>}
      {isOpen && (
        <WebhookForm
          initial={draftOf(webhook)}
          submit="Save"
          error={save.error}
          isRunning={save.isRunning}
          onSubmit={save.run}
        />
      )}
      {!isReadOnly && (
        <button
          type="button"
          aria-expanded={isOpen}
          onClick={() => {
            save.clear();
            setOpen(!isOpen);
          }}
        >
          {isOpen ? "Leave as it was" : "Change"}
        </button>
      )}
    </section>
  );
}

function Facts({ webhook }: { webhook: Webhook }) {
  const { filter, rate_limit_per_minute: rate, group, headers } = webhook;
  return (
    <dl>
      <dt>Sends</dt>
      <dd class="tiers">
        {webhook.events.map((event) => (
          <Tier key={event} tier={tierOf(event)} />
        ))}
      </dd>
      <dt>Format</dt>
      <dd>{FORMAT_LABELS[webhook.format] ?? webhook.format}</dd>
      {filter?.min_risk_score !== undefined && (
        <>
          <dt>Lowest risk score</dt>
          <dd>{filter.min_risk_score}</dd>
        </>
      )}
      {filter?.actions && (
        <>
          <dt>Actions</dt>
          <dd>{filter.actions.join(", ")}</dd>
        </>
      )}
      {filter?.domains && (
        <>
          <dt>Domains</dt>
          <dd>{filter.domains.join(", ")}</dd>
        </>
      )}
      {rate !== undefined && (
        <>
          <dt>Pace</dt>
          <dd>{rate.toLocaleString("en")} a minute</dd>
        </>
      )}
      {group !== undefined && (
        <>
          <dt>One message for many</dt>
          <dd>{group ? "yes" : "no"}</dd>
        </>
      )}
      {headers && (
        <>
          <dt>Header fields</dt>
          <dd>{Object.keys(headers).join(", ")}</dd>
        </>
      )}
      <dt>Failed in a row</dt>
      <dd>{webhook.failure_count.toLocaleString("en")}</dd>
      <dt>Last sent to</dt>
      <dd>{webhook.last_triggered_at ? <Time at={webhook.last_triggered_at} /> : "never"}</dd>
      <dt>Registered</dt>
      <dd>
        <Time at={webhook.created_at} />
      </dd>
      <dt>Id</dt>
      <dd>
        <code>{webhook.id}</code>
      </dd>
    </dl>
  );
}
