import { useState } from "preact/hooks";
import type { Webhook } from "../../client/index.ts";
import { useAction } from "../hooks.ts";
import { usePage } from "../page-context.ts";
import { Problem } from "./basics.tsx";
import { Secret } from "./secret.tsx";
import { Field } from "./webhook-form.tsx";

const OVERLAPS: readonly { seconds: number; label: string }[] = [
  { seconds: 0, label: "not at all" },
  { seconds: 3_600, label: "for an hour" },
  { seconds: 86_400, label: "for a day" },
  { seconds: 604_800, label: "for a week" },
];
const A_DAY = 86_400;

/** Makes a new secret; for a while requests carry the signatures of both. */
export function RotateSecret({ webhook }: { webhook: Webhook }) {
  const { client } = usePage();
  const [overlap, setOverlap] = useState(A_DAY);
  const rotate = useAction(async () => {
    const { secret } = await client.rotateSecret(webhook.id, { overlap_seconds: overlap });
    return { secret, overlap };
  });
  const valid = OVERLAPS.find(({ seconds }) => seconds === rotate.result?.overlap)?.label;
  return (
    <section class="card" aria-label="Signing secret">
      <h2>Signing secret</h2>
      {rotate.result ? (
        <Secret
          secret={rotate.result.secret}
          note={`Put it where the receiver reads its secrets. The one before is valid ${valid} longer.`.replace(
            "not at all longer",
            "no longer",
          )}
        />
      ) : (
        <>
          <p class="quiet">
            Lost, or seen by somebody? Make a new one. Requests then carry both signatures for a while.
          </p>
          <Field label="The present one stays valid">
            {(ids) => (
              <select
                {...ids}
                value={overlap}
                onChange={(event) => setOverlap(Number(event.currentTarget.value))}
              >
                {OVERLAPS.map(({ seconds, label }) => (
                  <option key={seconds} value={seconds}>
                    {label}
                  </option>
                ))}
              </select>
            )}
          </Field>
        </>
      )}
      <Problem error={rotate.error} />
      {!rotate.result && (
        <button type="button" onClick={() => rotate.run()} disabled={rotate.isRunning}>
          Rotate secret
        </button>
      )}
    </section>
  );
}
