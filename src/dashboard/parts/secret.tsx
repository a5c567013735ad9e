import { useState } from "preact/hooks";
import { SNIPPETS } from "../snippets.ts";
import { Code, CopyButton } from "./basics.tsx";

/** A secret, which is shown this once, and what verifies with it. */
export function Secret({ secret, note }: { secret: string; note: string }) {
  return (
    <section class="secret" aria-labelledby="secret-title">
      <h2 id="secret-title">The signing secret, shown this once</h2>
      <p>{note}</p>
      <div class="line">
        <code class="value">{secret}</code>
        <CopyButton text={secret} label="Copy secret" />
      </div>
      <Snippets />
    </section>
  );
}

function Snippets() {
  const [chosen, choose] = useState(0);
  const snippet = SNIPPETS[chosen];
  return (
    <>
      <h3>Verify in the receiver</h3>
      <fieldset class="choice">
        <legend class="hidden">Language</legend>
        {SNIPPETS.map(({ name }, index) => (
          <label key={name}>
            <input type="radio" name="language" checked={index === chosen} onChange={() => choose(index)} />
            {name}
          </label>
        ))}
      </fieldset>
      {snippet && (
        <>
          <Code text={snippet.text} label={`Verify in ${snippet.name}`} />
          <div class="line">
            <CopyButton text={snippet.text} label={`Copy ${snippet.name} code`} />
          </div>
          <p class="quiet">
            It follows Standard Webhooks: any library of that name takes the secret exactly as it is above.
          </p>
        </>
      )}
    </>
  );
}
