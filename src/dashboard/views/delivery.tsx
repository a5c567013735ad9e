import { type Attempt, type DeliveryDetail, NotFoundError, type WebhookFormat } from "../../client/index.ts";
import { isGroupable } from "../../formats.ts";
import { paths } from "../address.ts";
import { useAction, useLoaded } from "../hooks.ts";
import { usePage, useReloadOn } from "../page-context.ts";
import { Clock, Code, CopyButton, Done, Loading, Problem, Tier, Time, View } from "../parts/basics.tsx";
import { curlCommand, isKnown, requestOf, requestText } from "../request-text.ts";
import { explain, nameOf, tierOf } from "../words.ts";
import { NotFound } from "./not-found.tsx";

/** One delivery: what was sent, what came back each time, and the way to send it again. */
export function DeliveryView({ id }: { id: string }) {
  const { client } = usePage();
  const loaded = useLoaded(() => client.getDelivery(id), [client, id]);
  useReloadOn(({ data }) => "delivery_id" in data && data.delivery_id === id, loaded.reload);
  if (loaded.error instanceof NotFoundError) return <NotFound what="There is no such delivery." />;
  return (
    <View title="Delivery">
      <Problem error={loaded.error} onRetry={loaded.reload} />
      {!loaded.value && loaded.isLoading && <Loading />}
      {loaded.value && <Known delivery={loaded.value} onChanged={loaded.reload} />}
    </View>
  );
}

function Known({ delivery, onChanged }: { delivery: DeliveryDetail; onChanged: () => void }) {
  const { client, webhooks, isReadOnly } = usePage();
  const webhook = webhooks.value?.find((one) => one.id === delivery.webhook_id);
  const again = useAction(async () => {
    await client.retryDelivery(delivery.id);
    onChanged();
    return true;
  });
  const request = webhook && requestOf(delivery, webhook, Date.now());
  return (
    <>
      <header class="head">
        <p class="trail">
          {webhook ? <a href={paths.webhook(webhook.id)}>{nameOf(webhook)}</a> : "A webhook that is gone"}
        </p>
        <div class="title">
          <h1>
            Delivery of <Clock at={delivery.created_at} />
          </h1>
          <span class={`status ${delivery.status}`}>{delivery.status}</span>
        </div>
        <Summary delivery={delivery} />
        <div class="line">
          {!isReadOnly && webhook && (
            <button
              type="button"
              class={delivery.status === "failed" ? "primary" : ""}
              onClick={() => again.run()}
              disabled={again.isRunning}
            >
              Send again
            </button>
          )}
          {request && isKnown(webhook.format) && (
            <CopyButton text={curlCommand(request)} label="Copy as curl" />
          )}
        </div>
        {again.result && <Done>It goes out again now.</Done>}
        <Problem error={again.error} />
      </header>
      <div class="columns">
        <div>
          <h2>Attempts and answers</h2>
          <Attempts attempts={delivery.attempts} />
          <h2>
            {delivery.attempts.length > 0 ? "The request as it was sent" : "The request as it will be sent"}
          </h2>
          {webhook && <Written format={webhook.format} />}
          {request && <Code text={requestText(request)} label="Request" />}
        </div>
        <aside aria-label="About it">
          <Facts delivery={delivery} />
        </aside>
      </div>
    </>
  );
}

/** What of a request may have been otherwise than it is shown. */
function Written({ format }: { format: WebhookFormat }) {
  if (!isKnown(format)) {
    return (
      <p class="quiet">The daemon writes the event as a message for {format}; below is the event itself.</p>
    );
  }
  if (!isGroupable(format)) return null;
  return <p class="quiet">This is the message for it alone; while many waited, they may have shared one.</p>;
}

function Summary({ delivery }: { delivery: DeliveryDetail }) {
  const { status, last_error: error, next_attempt_at: next, finished_at: finished } = delivery;
  const detail = delivery.attempts.at(-1)?.detail;
  return (
    <p class={`why ${status}`}>
      {status === "delivered" && finished && (
        <>
          The receiver took it <Time at={finished} />.
        </>
      )}
      {status !== "delivered" && error && explain(error)}
      {status !== "delivered" && detail && ` What was found: ${detail}.`}
      {status === "pending" && next && Date.parse(next) > Date.now() && (
        <>
          {" "}
          The next attempt begins <Time at={next} />.
        </>
      )}
      {status === "pending" && !error && "It is on its way."}
    </p>
  );
}

function Attempts({ attempts }: { attempts: readonly Attempt[] }) {
  if (attempts.length === 0) return <p class="quiet">None yet.</p>;
  return (
    <ol class="attempts" aria-label="Attempts" reversed>
      {attempts.toReversed().map((attempt) => (
        <li key={attempt.number} class={attempt.error === null ? "delivered" : "failed"}>
          <div class="line">
            <strong>{attempt.status === null ? "No answer" : `HTTP ${attempt.status}`}</strong>
            <Clock at={attempt.started_at} />
            <span class="quiet">{attempt.duration_ms.toLocaleString("en")} ms</span>
            <span class="quiet">attempt {attempt.number}</span>
          </div>
          {attempt.error !== null && attempt.error !== "http_status" && (
            <p>
              {explain(attempt.error)}
              {attempt.detail !== null && (
                <>
                  {" "}
                  What was found: <strong>{attempt.detail}</strong>.
                </>
              )}
            </p>
          )}
          {attempt.response_excerpt !== null && attempt.response_excerpt !== "" && (
            <Code text={attempt.response_excerpt} label={`Answer to attempt ${attempt.number}`} />
          )}
        </li>
      ))}
    </ol>
  );
}

function Facts({ delivery }: { delivery: DeliveryDetail }) {
  const { payload } = delivery;
  return (
    <section class="card" aria-labelledby="event-title">
      <h2 id="event-title">The event</h2>
      <dl>
        <dt>Tier</dt>
        <dd>
          <Tier tier={tierOf(delivery.event)} />
        </dd>
        <dt>Action</dt>
        <dd>{payload.action}</dd>
        <dt>Risk score</dt>
        <dd>{payload.risk_score}</dd>
        <dt>Scanned</dt>
        <dd>
          <Time at={payload.timestamp} />
        </dd>
        <dt>Signals</dt>
        <dd>
          {payload.signals.length === 0 && "none"}
          <ul class="plain">
            {payload.signals.map(({ domain, type, confidence }) => (
              <li key={`${domain} ${type}`}>
                {domain} / {type} <span class="quiet">{confidence}</span>
              </li>
            ))}
          </ul>
        </dd>
      </dl>
      <p>
        <a href={paths.event(delivery.event_id)}>What else became of it</a>
      </p>
      <dl>
        <dt>Delivery</dt>
        <dd>
          <code>{delivery.id}</code>
        </dd>
        <dt>webhook-id</dt>
        <dd>
          <code>{delivery.event_id}</code>
        </dd>
      </dl>
    </section>
  );
}
