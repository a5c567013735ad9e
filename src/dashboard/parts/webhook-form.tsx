import type { ComponentChildren } from "preact";
import { useId, useState } from "preact/hooks";
import { isGroupable, WEBHOOK_FORMATS } from "../../formats.ts";
import { ACTIONS, type Action } from "../../scan-words.ts";
import { type Draft, FORMAT_LABELS } from "../webhook-draft.ts";
import { TIERS } from "../words.ts";
import { Problem } from "./basics.tsx";

/** Every setting of a webhook: those that all have, and behind "More" those that few need. */
export function WebhookForm({
  initial,
  submit,
  error,
  isRunning,
  onSubmit,
}: {
  initial: Draft;
  submit: string;
  error: Error | null;
  isRunning: boolean;
  onSubmit: (draft: Draft) => void;
}) {
  const [draft, setDraft] = useState(initial);
  const set = (change: Partial<Draft>): void => setDraft({ ...draft, ...change });
  const toggle = <T,>(list: readonly T[], item: T, isOn: boolean): T[] =>
    isOn ? [...list, item] : list.filter((one) => one !== item);
  return (
    <form
      class="form"
      noValidate
      onSubmit={(event) => {
        event.preventDefault();
        onSubmit(draft);
      }}
    >
      <Field label="URL" hint="Where it is sent to. It must be https, unless the operator allows http.">
        {(ids) => (
          <input
            {...ids}
            type="url"
            required
            autocomplete="off"
            placeholder="https://…"
            value={draft.url}
            onInput={(event) => set({ url: event.currentTarget.value })}
          />
        )}
      </Field>
      <Field label="Name" hint="What people call it. Without one it goes by its host.">
        {(ids) => (
          <input
            {...ids}
            autocomplete="off"
            maxLength={100}
            value={draft.name}
            onInput={(event) => set({ name: event.currentTarget.value })}
          />
        )}
      </Field>
      <fieldset class="choice">
        <legend>Sends</legend>
        {TIERS.map(({ event: type, tier }) => (
          <label key={type}>
            <input
              type="checkbox"
              checked={draft.events.includes(type)}
              onChange={(event) => set({ events: toggle(draft.events, type, event.currentTarget.checked) })}
            />
            <span class={`tier ${tier}`}>{tier}</span>
          </label>
        ))}
      </fieldset>
      <Field label="Format">
        {(ids) => (
          <select
            {...ids}
            value={draft.format}
            onChange={(event) => set({ format: event.currentTarget.value as Draft["format"] })}
          >
            {WEBHOOK_FORMATS.map((format) => (
              <option key={format} value={format}>
                {FORMAT_LABELS[format]}
              </option>
            ))}
          </select>
        )}
      </Field>
      <details>
        <summary>More: filter, pace, header fields</summary>
        <MoreFields draft={draft} set={set} toggle={(action, isOn) => toggle(draft.actions, action, isOn)} />
      </details>
      <Problem error={error} />
      <div class="line">
        <button type="submit" class="primary" disabled={isRunning}>
          {submit}
        </button>
      </div>
    </form>
  );
}

function MoreFields({
  draft,
  set,
  toggle,
}: {
  draft: Draft;
  set: (change: Partial<Draft>) => void;
  toggle: (action: Action, isOn: boolean) => Action[];
}) {
  return (
    <div class="form">
      <Field label="Lowest risk score" hint="0 to 100: events below it are not sent.">
        {(ids) => (
          <input
            {...ids}
            inputMode="decimal"
            value={draft.minRiskScore}
            onInput={(event) => set({ minRiskScore: event.currentTarget.value })}
          />
        )}
      </Field>
      <fieldset class="choice">
        <legend>Only these actions (none chosen: all)</legend>
        {ACTIONS.map((action) => (
          <label key={action}>
            <input
              type="checkbox"
              checked={draft.actions.includes(action)}
              onChange={(event) => set({ actions: toggle(action, event.currentTarget.checked) })}
            />
            {action}
          </label>
        ))}
      </fieldset>
      <Field label="Only these domains" hint="Separated by commas, such as pii, secrets.">
        {(ids) => (
          <input
            {...ids}
            value={draft.domains}
            onInput={(event) => set({ domains: event.currentTarget.value })}
          />
        )}
      </Field>
      <Field label="Requests a minute" hint="Spread evenly. Without a number: the pace of its format.">
        {(ids) => (
          <input
            {...ids}
            inputMode="numeric"
            value={draft.rateLimit}
            onInput={(event) => set({ rateLimit: event.currentTarget.value })}
          />
        )}
      </Field>
      {isGroupable(draft.format) && (
        <Field label="One message for many" hint="Whether what waits may share one message.">
          {(ids) => (
            <select
              {...ids}
              value={draft.group}
              onChange={(event) => set({ group: event.currentTarget.value as Draft["group"] })}
            >
              <option value="">as usual for chats (yes)</option>
              <option value="true">yes</option>
              <option value="false">no, each its own</option>
            </select>
          )}
        </Field>
      )}
      <Field
        label="Header fields"
        hint="One a line, such as authorization: Bearer …. Values are not shown again; *** keeps what is there."
      >
        {(ids) => (
          <textarea
            {...ids}
            rows={3}
            spellcheck={false}
            value={draft.headers}
            onInput={(event) => set({ headers: event.currentTarget.value })}
          />
        )}
      </Field>
    </div>
  );
}

/** A field with its label and what is to be known about it. */
export function Field({
  label,
  hint,
  children,
}: {
  label: string;
  hint?: string;
  children: (ids: { id: string; "aria-describedby"?: string }) => ComponentChildren;
}) {
  const id = useId();
  const hintId = `${id}-hint`;
  return (
    <div class="field">
      <label for={id}>{label}</label>
      {children({ id, ...(hint !== undefined && { "aria-describedby": hintId }) })}
      {hint !== undefined && (
        <p class="quiet" id={hintId}>
          {hint}
        </p>
      )}
    </div>
  );
}
