import { go, paths } from "../address.ts";
import { Code, CopyButton } from "./basics.tsx";

export const SAMPLE_EVENT = `echo '{"id":"scan-42","tier":"red","action":"block","risk_score":85,"signals":[{"domain":"pii","type":"ssn","confidence":0.98,"weight":50}]}' | armorhooks send`;

/** What to do in an empty installation: from nothing to a delivery that can be seen. */
export function FirstSteps({ isReadOnly }: { isReadOnly: boolean }) {
  return (
    <>
      <header class="verdict">
        <h1>Nothing is set up yet.</h1>
        <p class="quiet">Three steps to the first delivery.</p>
      </header>
      <ol class="steps">
        <li>
          <h2>Start a receiver</h2>
          <p>
            Any HTTPS server that answers 2xx will do. To try it on this machine, run the one that comes
            along; it prints what it gets:
          </p>
          <Command text="armorhooks listen" />
          <p class="quiet">
            It is at <code>http://127.0.0.1:8788/</code>.
          </p>
        </li>
        <li>
          <h2>Say where to send to</h2>
          {isReadOnly ? (
            <p>This key may only read: somebody whose key may write has to do this.</p>
          ) : (
            <p>
              <button type="button" class="primary" onClick={() => go(paths.newWebhook)}>
                New webhook
              </button>
            </p>
          )}
          <p class="quiet">
            For a receiver on this machine the daemon must be started with{" "}
            <code>--allow-http --allow-networks 127.0.0.0/8</code>.
          </p>
        </li>
        <li>
          <h2>Send a scan event</h2>
          <p>In the directory that the daemon runs in:</p>
          <Command text={SAMPLE_EVENT} />
        </li>
      </ol>
    </>
  );
}

export function Command({ text }: { text: string }) {
  return (
    <div class="command">
      <Code text={text} label="Command" />
      <div class="line">
        <CopyButton text={text} label="Copy" />
      </div>
    </div>
  );
}
