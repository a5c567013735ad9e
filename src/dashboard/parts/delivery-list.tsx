import { paths } from "../address.ts";
import type { DeliveryRow } from "../outcomes.ts";
import { outcomeOf, tierOf } from "../words.ts";
import { Clock, Tier, Time } from "./basics.tsx";

/** Deliveries in a line each, every one a link; `nameFor` says which webhook, where that is not clear already. */
export function DeliveryList({
  deliveries,
  nameFor,
}: {
  deliveries: readonly DeliveryRow[];
  nameFor?: (delivery: DeliveryRow) => string;
}) {
  return (
    <ul class="rows deliveries" aria-label="Deliveries">
      {deliveries.map((delivery) => (
        <li key={delivery.id}>
          <span class={`status ${delivery.status}`}>{delivery.status}</span>
          <a class="name" href={paths.delivery(delivery.id)}>
            {nameFor ? nameFor(delivery) : <Clock at={delivery.created_at} />}
          </a>
          {delivery.event ? <Tier tier={tierOf(delivery.event)} /> : <span />}
          <span class="outcome">
            {outcomeOf(delivery)}
            {delivery.attempt_count > 1 && <span class="quiet">, {delivery.attempt_count} attempts</span>}
          </span>
          <span class="when quiet">
            <NextStep delivery={delivery} />
          </span>
        </li>
      ))}
    </ul>
  );
}

function NextStep({ delivery }: { delivery: DeliveryRow }) {
  const { status, attempt_count: attempts, next_attempt_at: next, finished_at: finished } = delivery;
  if (status !== "pending") return finished === null ? null : <Time at={finished} />;
  if (next === null) return <>{attempts > 0 ? "will be tried again" : "on its way"}</>;
  if (Date.parse(next) <= Date.now()) return <>due now</>;
  return (
    <>
      next try <Time at={next} />
    </>
  );
}
