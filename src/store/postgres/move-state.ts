import type { LargeTable } from "../move.ts";
import type { Query } from "./pool.ts";

/** How far an installation has come that is moved into this database. */
export interface MoveState {
  /** Of the installation. */
  tag: string;
  /** The one move that goes on here: after another beginning, what has arrived may no longer be what is there. */
  move: string;
  table: "small" | LargeTable | "done";
  /** All rows of the table up to this id have arrived. */
  id: number;
  /** Of the large tables, how many rows have arrived. */
  rows: number;
  /** Whether all has arrived and was counted. */
  isDone: boolean;
}

/** Null when nothing was ever moved here. */
export async function readMove(query: Query): Promise<MoveState | null> {
  const [row] = await query<{ value: string }>("SELECT value FROM meta WHERE key = 'move'");
  return row ? (JSON.parse(row.value) as MoveState) : null;
}

export async function writeMove(query: Query, state: MoveState): Promise<void> {
  await query(
    "INSERT INTO meta (key, value) VALUES ('move', $1) ON CONFLICT (key) DO UPDATE SET value = excluded.value",
    [JSON.stringify(state)],
  );
}
