import { createHash } from "node:crypto";

/** One of drizzle-kit's migrations. */
export interface Migration {
  tag: string;
  /** When it was made, milliseconds since 1970: their order, and what a database notes of them. */
  when: number;
  sql: string;
}

/**
 * Every migration of a journal, oldest first. `sqlByTag` is listed by hand in `file`, as the compiled binary has no
 * folder to read; throws when one was generated but not listed.
 */
export function migrationsOf(
  { entries }: { entries: readonly { tag: string; when: number }[] },
  sqlByTag: Readonly<Record<string, string>>,
  file: string,
): Migration[] {
  return entries.map(({ tag, when }) => {
    const sql = sqlByTag[tag];
    if (sql === undefined) throw new Error(`migration ${tag} is in the journal but not in ${file}`);
    return { tag, when, sql };
  });
}

/** As drizzle-kit parts them. */
export function statementsOf({ sql }: Migration): string[] {
  return sql.split("--> statement-breakpoint");
}

/** As drizzle's own bookkeeping table has it. */
export function hashOf({ sql }: Migration): string {
  return createHash("sha256").update(sql).digest("hex");
}
