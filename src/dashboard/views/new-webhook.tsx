import { paths } from "../address.ts";
import { useAction } from "../hooks.ts";
import { usePage } from "../page-context.ts";
import { View } from "../parts/basics.tsx";
import { Secret } from "../parts/secret.tsx";
import { WebhookForm } from "../parts/webhook-form.tsx";
import { changesOf, type Draft, EMPTY_DRAFT } from "../webhook-draft.ts";
import { nameOf } from "../words.ts";

/** Registers a webhook, and then shows its secret, once. */
export function NewWebhook() {
  const { client, webhooks, isReadOnly } = usePage();
  const create = useAction(async (draft: Draft) => {
    const made = await client.createWebhook({
      ...changesOf(draft, { ...EMPTY_DRAFT, events: [] }),
      url: draft.url.trim(),
    });
    webhooks.reload();
    return made;
  });
  const made = create.result;
  if (made) {
    return (
      <View title={`${nameOf(made)} is registered`}>
        <h1>{nameOf(made)} is registered</h1>
        <Secret
          secret={made.secret}
          note="Put it where the receiver reads its secrets, before you leave this page. If it is lost, rotate it."
        />
        <p class="line">
          <a class="button primary" href={paths.webhook(made.id)}>
            Go on to {nameOf(made)}
          </a>
        </p>
      </View>
    );
  }
  return (
    <View title="New webhook">
      <h1>New webhook</h1>
      {isReadOnly ? (
        <p class="notice">This key may only read. Sign in with one that may write.</p>
      ) : (
        <WebhookForm
          initial={EMPTY_DRAFT}
          submit="Create"
          error={create.error}
          isRunning={create.isRunning}
          onSubmit={create.run}
        />
      )}
    </View>
  );
}
