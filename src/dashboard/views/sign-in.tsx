import { useState } from "preact/hooks";
import { useAction } from "../hooks.ts";
import { Problem, View } from "../parts/basics.tsx";
import { Field } from "../parts/webhook-form.tsx";
import { clientFor } from "../session.ts";

/** Asks for a key, and takes it once the API has. */
export function SignIn({ refused, onSignIn }: { refused: Error | null; onSignIn: (key: string) => void }) {
  const [key, setKey] = useState("");
  const enter = useAction(async () => {
    const trimmed = key.trim();
    await clientFor(trimmed, { onAccess: () => {}, onRefused: () => {} }).listWebhooks();
    onSignIn(trimmed);
  });
  return (
    <View title="Sign in">
      <form
        class="sign-in form"
        onSubmit={(event) => {
          event.preventDefault();
          void enter.run();
        }}
      >
        <h1 class="wordmark">armorhooks</h1>
        <Field
          label="API key"
          hint="Begins with ia_sk_. It stays in this tab and is forgotten when the tab is closed."
        >
          {(ids) => (
            <input
              {...ids}
              type="password"
              required
              autocomplete="off"
              spellcheck={false}
              value={key}
              onInput={(event) => setKey(event.currentTarget.value)}
            />
          )}
        </Field>
        <Problem error={enter.error ?? refused} />
        <button type="submit" class="primary" disabled={enter.isRunning}>
          Sign in
        </button>
        <p class="quiet">
          No key? The operator makes one with <code>armorhooks key create</code>. What can be done without
          this page is in <a href="/swagger">the API's documentation</a>.
        </p>
      </form>
    </View>
  );
}
