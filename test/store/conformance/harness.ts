import { afterEach, beforeEach } from "bun:test";
import type { Store } from "../../../src/store/store.ts";
import type { Webhook } from "../../../src/store/webhooks.ts";

/** A store under test and what can happen to it. */
export interface World {
  /** The present one, opened as `resident`: as a daemon has it. */
  readonly store: Store;
  /** Closes the store in order and opens it anew, on the same data. */
  reopen(): Promise<Store>;
  /** The same data as another process sees it that is not resident: the command line beside the daemon. */
  beside(): Promise<Store>;
  /** The same data as a second daemon has it; null where one at a time can have it. */
  secondDaemon(): Promise<Store | null>;
  /** Has every write of `store` fail, as on a full disk or with the database away, until mended. */
  breakWrites(): void;
  mendWrites(): void;
  /** Has every read of `store` fail, as on a disk that fails or with the database away, until mended. */
  breakReads(): void;
  mendReads(): void;
  /** Lets so many milliseconds pass on the wall and the schedule clock, at once. */
  skipTime(milliseconds: number): void;
  /** Closes everything and removes the data. */
  end(): Promise<void>;
}

/** How a kind of store is opened for a test: each time with no data. */
export interface Harness {
  open(): Promise<World>;
}

/** What changes elsewhere is seen within this, milliseconds. */
export const SOON = 1_000;

/** Opens a world for each test of the block that this is called in, and ends it. */
export function eachWithWorld(harness: Harness): { readonly world: World; readonly store: Store } {
  let world: World;
  beforeEach(async () => {
    world = await harness.open();
  });
  afterEach(() => world.end());
  return {
    get world() {
      return world;
    },
    get store() {
      return world.store;
    },
  };
}

export async function addOrganization(store: Store, name = "acme"): Promise<number> {
  return (await store.organizations.create({ name, plan: "enterprise" })).id;
}

export const HOOK_URL = "https://hooks.example.com/a";

export async function addWebhook(store: Store, organizationId: number, url = HOOK_URL): Promise<Webhook> {
  const input = { organizationId, url, events: ["red_tier" as const], format: "json" as const };
  const made = await store.webhooks.create(input, Number.MAX_SAFE_INTEGER);
  if (!made) throw new Error("no webhook was made");
  return made.webhook;
}
