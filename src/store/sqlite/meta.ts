import { eq } from "drizzle-orm";
import type { Orm } from "./database.ts";
import { meta } from "./schema.ts";

export type MetaKey =
  | "installation_tag"
  | "clock"
  | "secret_key"
  | "external_id_seed"
  /** The latest id that may have been given (id-reservation.ts). */
  | "ids_reserved";

/** Reads one of the small facts about this installation. */
export function getMeta(orm: Orm, key: MetaKey): string | null {
  return orm.select().from(meta).where(eq(meta.key, key)).get()?.value ?? null;
}

export function setMeta(orm: Orm, key: MetaKey, value: string): void {
  orm.insert(meta).values({ key, value }).onConflictDoUpdate({ target: meta.key, set: { value } }).run();
}

export function deleteMeta(orm: Orm, key: MetaKey): void {
  orm.delete(meta).where(eq(meta.key, key)).run();
}
