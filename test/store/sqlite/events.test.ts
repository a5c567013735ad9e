import { expect, test } from "bun:test";
import fc from "fast-check";
import type { NewEvent } from "../../../src/store/event-log.ts";
import { newDir, removeDir } from "../../support/daemon.ts";
import { addOrganization, addWebhook, BODY, openTestStore } from "../seed.ts";

const WEBHOOKS = 5;

interface Row {
  id: number;
  webhookId: number;
  eventId: number;
  status: number;
  dueAt: number;
  createdAt: number;
}

/** The deliveries of events come of one statement for several of them: whatever the mixture, each gets its own. */
test("every event of a batch has a delivery for each of its webhooks, and none besides", async () => {
  const dir = newDir();
  const store = openTestStore(dir);
  const organizationId = await addOrganization(store);
  const ids = (
    await Promise.all(Array.from({ length: WEBHOOKS }, () => addWebhook(store, organizationId)))
  ).map(({ id }) => id);
  // As the cache of subscriptions gives them: the same list for events with the same receivers, or an equal one.
  const lists = [[], [ids[0]], [ids[1]], [ids[1]], [ids[2], ids[0]], ids, ids.toReversed()] as number[][];
  const event = fc.record({
    webhookIds: fc.constantFrom(...lists),
    externalId: fc.option(fc.constantFrom("a", "b", "c", "d", "e", "f"), { freq: 2 }),
    receivedAt: fc.integer({ min: 1, max: 3 }),
  });
  const rows = store.database.sqlite.prepare<Row, [number]>(
    `SELECT id, webhook_id AS webhookId, event_id AS eventId, status, next_attempt_at AS dueAt, created_at AS createdAt
     FROM deliveries WHERE id > ? ORDER BY id`,
  );
  try {
    fc.assert(
      fc.property(fc.array(event, { maxLength: 40 }), fc.integer({ min: 1, max: 99 }), (batch, dueAt) => {
        const before = store.lastId();
        const events: NewEvent[] = batch.map((one) => ({ ...one, organizationId, type: 2, body: BODY }));
        const stored = store.eventLog.insertEvents(events, dueAt);
        const expected = stored.flatMap(({ event, eventId, duplicate }) =>
          duplicate
            ? []
            : event.webhookIds.map((webhookId, i) => ({
                id: eventId + 1 + i,
                webhookId,
                eventId,
                status: 0,
                dueAt,
                createdAt: event.receivedAt,
              })),
        );
        expect(rows.all(before)).toEqual(expected);
        expect(stored.map(({ event }) => event)).toEqual(events);
        for (const { event, duplicate, deliveries } of stored) {
          expect(deliveries).toBe(duplicate ? 0 : event.webhookIds.length);
        }
      }),
      { numRuns: 300 },
    );
  } finally {
    await store.close();
    removeDir(dir);
  }
});
