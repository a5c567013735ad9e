import { expect, test } from "bun:test";
import { AppError } from "../../src/errors.ts";
import { createAcks } from "../../src/ingest/acks.ts";

test("each is one line of ASCII, and says what became of its event", () => {
  const acks = createAcks();
  const wrong = new AppError("VALIDATION_ERROR", "tier is missing");
  const missing = new AppError("NOT_FOUND", "organization_id names no organization");
  expect([
    acks.stored({ id: "evt_1", deliveries: 2, duplicate: false }),
    acks.stored({ id: "evt_1", deliveries: 0, duplicate: true }),
    acks.refused(wrong),
    acks.refused(wrong),
    acks.refused(missing),
    acks.refused(wrong),
    acks.unavailable,
  ]).toEqual([
    '{"ok":true,"id":"evt_1","deliveries":2}\n',
    '{"ok":true,"id":"evt_1","deliveries":0,"duplicate":true}\n',
    '{"ok":false,"error":{"code":"VALIDATION_ERROR","message":"tier is missing"}}\n',
    '{"ok":false,"error":{"code":"VALIDATION_ERROR","message":"tier is missing"}}\n',
    '{"ok":false,"error":{"code":"NOT_FOUND","message":"organization_id names no organization"}}\n',
    '{"ok":false,"error":{"code":"VALIDATION_ERROR","message":"tier is missing"}}\n',
    '{"ok":false,"error":{"code":"UNAVAILABLE","message":"the event cannot be stored now; send it again"}}\n',
  ]);
});
