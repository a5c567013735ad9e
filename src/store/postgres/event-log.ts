import type { ClaimedDelivery } from "../delivery-queue.ts";
import type { AppendedEvent, EventLog, NewEvent } from "../event-log.ts";
import { StoreFault } from "../faults.ts";
import type { Announcer } from "./announcements.ts";
import type { Claims } from "./claims.ts";
import type { PostgresDatabase } from "./database.ts";
import { sqlState } from "./faults.ts";
import type { Membership } from "./members.ts";
import type { Partitions } from "./partitions.ts";

/**
 * Stores events and their deliveries, and says what was not stored: events whose external id is known, and deliveries
 * of webhooks that are off by now. Ids are inserted in order, as two daemons with the same ones in different orders
 * would wait for each other.
 */
const APPEND = `WITH input AS MATERIALIZED (
    SELECT * FROM unnest($1::bigint[], $2::int[], $3::text[], $4::smallint[], $5::text[], $6::bigint[])
      AS t(id, organization_id, external_id, type, body, received_at)
  ), named AS (
    INSERT INTO external_ids (organization_id, external_id, event_id)
    SELECT organization_id, external_id, id FROM input WHERE external_id IS NOT NULL
    ORDER BY organization_id, external_id, id ON CONFLICT DO NOTHING RETURNING event_id
  ), stored AS (
    INSERT INTO events (id, organization_id, external_id, type, body, received_at)
    SELECT * FROM input WHERE external_id IS NULL OR id IN (SELECT event_id FROM named)
    RETURNING id, received_at
  ), queued AS (
    INSERT INTO queue (webhook_id, id, event_id, due_at, created_at)
    SELECT d.webhook_id, d.id, d.event_id, $10::bigint, s.received_at
    FROM unnest($7::int[], $8::bigint[], $9::bigint[]) AS d(webhook_id, id, event_id)
    JOIN stored s ON s.id = d.event_id
    WHERE d.webhook_id IN (SELECT id FROM webhooks WHERE enabled AND deleted_at IS NULL)
    RETURNING id
  )
  SELECT (SELECT count(*) FROM stored)::int4 AS events, (SELECT count(*) FROM queued)::int4 AS deliveries,
    CASE WHEN (SELECT count(*) FROM stored) < cardinality($1::bigint[]) THEN
      (SELECT string_agg(id::text, ',') FROM stored) END AS "storedIds",
    CASE WHEN (SELECT count(*) FROM queued) < cardinality($8::bigint[]) THEN
      (SELECT string_agg(id::text, ',') FROM queued) END AS "queuedIds"`;

/** Events that have had these external ids first. */
const FIRST = `SELECT x.event_id::float8 AS id, i.n::int4 AS n
  FROM unnest($1::int[], $2::text[]) WITH ORDINALITY AS i(organization_id, external_id, n)
  JOIN external_ids x ON x.organization_id = i.organization_id AND x.external_id = i.external_id`;

/** How long storing a batch may take: events to thousands of webhooks are a million rows. */
const LIMIT_MS = 4_000;
const MS_PER_DELIVERY = 0.2;

/** check_violation: no partition of a table takes the row. */
const NO_PARTITION = "23514";

export interface EventLogParts {
  nextId: () => number;
  schedule: () => number;
  membership: Membership;
  partitions: Partitions;
  claims: Claims;
  announcer: Announcer;
  /** Makes the tables of the days of ids. */
  makeDays: (ids: readonly number[]) => Promise<void>;
}

interface Answer {
  events: number;
  deliveries: number;
  storedIds: string | null;
  queuedIds: string | null;
}

interface NewDelivery {
  id: number;
  webhookId: number;
  eventId: number;
}

export function createEventLog(database: PostgresDatabase, parts: EventLogParts): EventLog {
  const { nextId, schedule, membership, partitions, claims, announcer } = parts;

  const insert = async (
    batch: readonly NewEvent[],
    eventIds: readonly number[],
    deliveries: readonly NewDelivery[],
  ): Promise<Answer> => {
    const values = [
      eventIds,
      batch.map(({ organizationId }) => organizationId),
      batch.map(({ externalId }) => externalId),
      batch.map(({ type }) => type),
      batch.map(({ body }) => body),
      batch.map(({ receivedAt }) => receivedAt),
      deliveries.map(({ webhookId }) => webhookId),
      deliveries.map(({ id }) => id),
      deliveries.map(({ eventId }) => eventId),
      schedule(),
    ];
    const limit = LIMIT_MS + deliveries.length * MS_PER_DELIVERY;
    const [answer] = await database.ingest.slowQuery<Answer>(limit, APPEND, values);
    return answer as Answer;
  };

  const insertWithDays: typeof insert = async (batch, eventIds, deliveries) => {
    try {
      return await insert(batch, eventIds, deliveries);
    } catch (error) {
      if (sqlState(error) !== NO_PARTITION) throw error;
      await parts.makeDays([...eventIds, ...deliveries.map(({ id }) => id)]);
      return insert(batch, eventIds, deliveries);
    }
  };

  /** The first events of those that are repeats, by position in the batch. */
  const findFirst = async (
    batch: readonly NewEvent[],
    missing: readonly number[],
  ): Promise<Map<number, number>> => {
    const events = missing.map((i) => batch[i] as NewEvent);
    const rows = await database.ingest.query<{ id: number; n: number }>(FIRST, [
      events.map(({ organizationId }) => organizationId),
      events.map(({ externalId }) => externalId),
    ]);
    if (rows.length < missing.length) throw new StoreFault("a repeated event was dropped a moment ago");
    return new Map(rows.map(({ id, n }) => [missing[n - 1] as number, id]));
  };

  const append: EventLog["append"] = async (batch, wants) => {
    // The number in the ids is this daemon's only while its lease holds.
    if (!membership.isAlive())
      throw new StoreFault("the lease has run out: the database is away, or this daemon was stopped");
    const eventIds = batch.map(() => nextId());
    const deliveries = batch.flatMap(({ webhookIds }, i) =>
      webhookIds.map((webhookId) => ({ id: nextId(), webhookId, eventId: eventIds[i] as number })),
    );
    const answer = await database.writing(() => insertWithDays(batch, eventIds, deliveries));
    const stored =
      answer.storedIds === null && answer.events === batch.length ? null : idSet(answer.storedIds);
    const queued =
      answer.queuedIds === null && answer.deliveries === deliveries.length ? null : idSet(answer.queuedIds);
    const missing = stored === null ? [] : eventIds.flatMap((id, i) => (stored.has(id) ? [] : [i]));
    const first = missing.length === 0 ? null : await findFirst(batch, missing);

    const events: AppendedEvent[] = [];
    const claimed: ClaimedDelivery[] = [];
    const elsewhere = new Set<number>();
    let at = 0;
    for (const [i, event] of batch.entries()) {
      const eventId = eventIds[i] as number;
      const repeated = first?.get(i);
      let count = 0;
      for (const webhookId of event.webhookIds) {
        const { id } = deliveries[at++] as NewDelivery;
        if (repeated !== undefined || (queued && !queued.has(id))) continue;
        count += 1;
        const epoch = partitions.epochFor(webhookId);
        // Not ours to send, or found in the table meanwhile.
        if (epoch === null) elsewhere.add(webhookId);
        else if (!claims.get(webhookId, id) && wants(webhookId, event.body.length)) {
          claims.add(webhookId, id, { epoch, retries: 0 });
          claimed.push({
            id,
            webhookId,
            eventId,
            body: event.body,
            attemptCount: 0,
            budgetFrom: 0,
            dueAt: 0,
          });
        }
      }
      events.push({
        event,
        eventId: repeated ?? eventId,
        duplicate: repeated !== undefined,
        deliveries: count,
      });
    }
    if (elsewhere.size > 0) announcer.tell({ due: [...elsewhere] });
    return { events, claimed };
  };

  return {
    append,
    // What is committed is on disk.
    whenDurable: (done) => setImmediate(done, null),
    makeDurable: () => {},
  };
}

function idSet(text: string | null): Set<number> {
  return new Set(text === null ? [] : text.split(",").map(Number));
}
