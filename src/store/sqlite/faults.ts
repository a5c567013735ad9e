import { messageOf } from "../../errors.ts";
import { isStoreFault, StoreFault } from "../faults.ts";

/** Whether SQLite could not do its work (disk full, input/output, read-only, busy), rather than refuse ours. */
export function isSqliteFault(error: unknown): boolean {
  if (isStoreFault(error)) return true;
  if (!(error instanceof Error) || error.name !== "SQLiteError") return false;
  return !(error as { code?: string }).code?.startsWith("SQLITE_CONSTRAINT");
}

/** Whether SQLite may not open a file or one of those beside it, or not write where even who reads must. */
export function isBarred(error: unknown): boolean {
  return /^SQLITE_(CANTOPEN|READONLY|PERM)/.test((error as { code?: string }).code ?? "");
}

/** What was thrown, as those who use the store know it. */
export function outward(error: unknown): unknown {
  if (isStoreFault(error) || !isSqliteFault(error)) return error;
  return new StoreFault(messageOf(error), { cause: error });
}

/** A port's method whose work is done at once. */
export async function promised<T>(run: () => T): Promise<T> {
  try {
    return run();
  } catch (error) {
    throw outward(error);
  }
}
