import { expect, test } from "bun:test";
import { WEBHOOK_FORMATS } from "../../src/formats.ts";
import { DELIVERY_STATUSES } from "../../src/outcomes.ts";
import { read } from "../support/sources.ts";

const MODELS = "clients/python/src/armorhooks/_models.py";

test.each<[string, readonly string[]]>([
  ["Format", WEBHOOK_FORMATS],
  ["DeliveryStatus", DELIVERY_STATUSES],
])("the Python client's %s has the words of the API, and no others", (name, words) => {
  const [, list = ""] = new RegExp(`^${name} = Literal\\[(.+)\\]$`, "m").exec(read(MODELS)) ?? [];
  expect(list.split(", ").toSorted()).toEqual(words.map((word) => `"${word}"`).toSorted());
});
