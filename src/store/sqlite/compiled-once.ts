import { Database } from "bun:sqlite";

/** Texts and names in quotes, in which a question mark is no parameter, and parameters. */
const QUOTED_OR_PARAMETER = /'[^']*'|"[^"]*"|\?\d*/g;

/**
 * A database whose statements are compiled once. SQLite plans with the values of parameters where there is an ORDER BY,
 * a LIMIT, a min() or a max(), and so compiles such a statement anew whenever one is bound, which takes many times as
 * long as to run it. As part of an expression a parameter has no value to plan with; a unary plus is one, and changes
 * nothing else.
 */
export class CompiledOnce extends Database {
  override prepare: Database["prepare"] = (sql, params) => super.prepare(withoutValues(sql), params);
}

function withoutValues(sql: string): string {
  return sql.replaceAll(QUOTED_OR_PARAMETER, (found) => (found.startsWith("?") ? `+${found}` : found));
}
