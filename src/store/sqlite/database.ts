import type { Database } from "bun:sqlite";
import { type BunSQLiteDatabase, drizzle } from "drizzle-orm/bun-sqlite";
import { messageOf } from "../../errors.ts";
import type { Logger } from "../../log.ts";
import { StoreFault } from "../faults.ts";
import type { CopyFailure } from "./checkpoint-thread.ts";
import { createCheckpoints, failureOf } from "./checkpoints.ts";
import { openChecked, prepareFile, refusal } from "./database-file.ts";
import { BUSY_TIMEOUT_MS, configure, SHORT_BUSY_TIMEOUT_MS, waitForLocks } from "./database-settings.ts";
import { isSqliteFault, outward } from "./faults.ts";
import { MIGRATIONS, migrate } from "./migrations.ts";
import type { Participant } from "./participant.ts";
import { createRewrite } from "./rewrite.ts";
import * as schema from "./schema.ts";
import { createWalSync, type Durable, type WalSync } from "./wal-sync.ts";
import { rollback, stateOf, writeAgain } from "./write-again.ts";

export type Orm = BunSQLiteDatabase<typeof schema>;

/**
 * `durable` waits for the disk (synchronous=FULL): it survives a power cut. `relaxed` does not
 * (synchronous=NORMAL): it survives a kill of the process, and a power cut once `whenDurable` says so. Events
 * are stored like this, as their acks can wait while the daemon goes on; so are attempt results, for which
 * nobody waits: after a power cut the latest may be gone, which repeats those attempts and loses nothing.
 * All goes to the same log, in order.
 */
export type Durability = "durable" | "relaxed";

export interface StoreDatabase {
  sqlite: Database;
  orm: Orm;
  /** Runs a synchronous function in one write transaction, rolls back when it throws, and tells whoever takes part. Throws StoreFault when it cannot write. */
  transaction<T>(durability: Durability, run: () => T, participants?: readonly Participant[]): T;
  /**
   * Calls back, in the order of the calls, once all that was committed so far survives a power cut: as with
   * synchronous=FULL, but the disk is waited for on another thread. With an error when that is not sure.
   */
  whenDurable(done: Durable): void;
  /** The same, but not before somebody else waits for the disk. */
  withNextSync(done: Durable): void;
  /** Waits here and now, for everybody who waits for that. */
  makeDurable(): void;
  /** Grows whenever another process (the command line) has written. */
  dataVersion(): number;
  /** Null while writing works, otherwise why the last write failed. */
  fault(): string | null;
  /** Copies of the log what can be copied now, so that the file takes its size; what fails is logged. */
  copyWal(): void;
  /** Has what was overwritten or deleted vanish from the log too, unless somebody reads an older state. */
  emptyWal(): void;
  /** To be awaited before a close that should leave one whole file. */
  finishCheckpoints(): Promise<void>;
  close(): void;
}

export type Copying = "beside" | "here" | "never";

export interface OpenOptions {
  dataDir: string;
  log?: Logger;
  /** Called before a database of an older version is changed; may throw to leave it as it is. */
  beforeUpgrade?: () => void;
  /**
   * Who copies a long log into the database: a thread, for a process that goes on writing; who commits; or nobody,
   * for a process beside which another may go on writing.
   */
  copying?: Copying;
  /** For tests: a disk that fails. */
  syncWal?: (path: string) => WalSync;
}

/** Opens, checks and migrates the database of a data directory, making both when missing. Throws UsageError. */
export function openDatabase({
  dataDir,
  log,
  beforeUpgrade,
  copying = "here",
  syncWal = createWalSync,
}: OpenOptions): StoreDatabase {
  const path = prepareFile(dataDir);
  const sqlite = openChecked(path);
  try {
    configure(sqlite);
    migrate(sqlite, MIGRATIONS, beforeUpgrade);
    return wrap({ sqlite, path, walSync: syncWal(`${path}-wal`), copying, log });
  } catch (error) {
    sqlite.close();
    throw isSqliteFault(error) ? refusal(path, error) : error;
  }
}

interface Parts {
  sqlite: Database;
  path: string;
  walSync: WalSync;
  copying: Copying;
  log: Logger | undefined;
}

/** While this listens, the process ends without the close in which SQLite would copy the rest of the log, and delete it. */
function endWithoutClosing(): void {
  process.kill(process.pid, "SIGKILL");
}

function wrap({ sqlite, path, walSync, copying, log }: Parts): StoreDatabase {
  const begin = sqlite.prepare("BEGIN IMMEDIATE");
  const commit = sqlite.prepare("COMMIT");
  const version = sqlite.prepare<{ data_version: number }, []>("PRAGMA data_version");
  let current: Durability = "durable";
  let fault: string | null = null;
  /** Whether a sync has failed: then what was written before may never reach the disk, although SQLite reads it well. */
  let needsRewrite = false;
  /** Why the log could not be copied the last time. */
  let uncopied: string | null = null;
  const rewrite = createRewrite(path);

  const setDurability = (wanted: Durability): void => {
    if (wanted === current) return;
    sqlite.exec(wanted === "durable" ? "PRAGMA synchronous = FULL" : "PRAGMA synchronous = NORMAL");
    current = wanted;
  };

  const report = (error: unknown): void => {
    const message = messageOf(error);
    if (fault === null) {
      log?.error("store cannot write", { error: message });
      waitForLocks(sqlite, SHORT_BUSY_TIMEOUT_MS);
    }
    fault = message;
  };

  const recover = (): void => {
    if (fault === null) return;
    log?.info("store can write again");
    waitForLocks(sqlite, BUSY_TIMEOUT_MS);
    fault = null;
  };

  const requireRewrite = (): void => {
    if (needsRewrite) return;
    needsRewrite = true;
    process.on("exit", endWithoutClosing);
  };

  /** Nothing is written, and no log is copied, before this has succeeded. */
  const rewriteIfNeeded = (): void => {
    if (!needsRewrite) return;
    try {
      writeAgain(sqlite, rewrite);
    } catch (error) {
      throw new StoreFault(`cannot write again what a failed sync may have lost: ${messageOf(error)}`);
    }
    needsRewrite = false;
    process.off("exit", endWithoutClosing);
    log?.info("what a failed sync may have lost was written again, and synced");
  };

  const onCopied = (failure: CopyFailure | null): void => {
    if (failure === null) {
      if (uncopied !== null) log?.info("the write-ahead log can be copied into the database again");
      uncopied = null;
      return;
    }
    if (isSyncFailure(failure)) {
      requireRewrite();
      report(new StoreFault(`cannot sync the database while its log is copied: ${failure.message}`));
    } else if (failure.message !== uncopied) {
      uncopied = failure.message;
      log?.error("cannot copy the write-ahead log into the database; it grows until that works", {
        error: failure.message,
      });
    }
  };

  const checkpoints = createCheckpoints(sqlite, path, {
    onCopied,
    mayCopy: () => !needsRewrite,
    ...(copying !== "beside" && { thread: null }),
  });

  // A copy that another process has seen may have been synced by a process that could not say that it was not.
  if (copying === "beside" && stateOf(sqlite).checkpointed > 0) requireRewrite();

  const transaction: StoreDatabase["transaction"] = (durability, run, participants = []) => {
    let result: ReturnType<typeof run>;
    try {
      setDurability(durability);
      rewriteIfNeeded();
      begin.run();
      result = run();
      commit.run();
      if (copying !== "never") checkpoints.committed();
      recover();
    } catch (error) {
      if (sqlite.inTransaction) rollback(sqlite);
      for (const one of participants) one.rolledBack();
      if (isSyncFailure(failureOf(error))) requireRewrite();
      if (isSqliteFault(error)) report(error);
      throw outward(error);
    }
    for (const one of participants) one.committed();
    return result;
  };

  const reporting =
    (done: Durable): Durable =>
    (error) => {
      if (error === null) return done(null);
      requireRewrite();
      const failure = new StoreFault(`cannot sync the write-ahead log: ${messageOf(error)}`);
      report(failure);
      done(failure);
    };

  return {
    sqlite,
    orm: drizzle(sqlite, { schema }),
    transaction,
    whenDurable: (done) => walSync.request(reporting(done)),
    withNextSync: (done) => walSync.join(reporting(done)),
    makeDurable: walSync.finish,
    dataVersion: () => version.get()?.data_version ?? 0,
    fault: () => fault,
    copyWal: checkpoints.copy,
    emptyWal() {
      rewriteIfNeeded();
      checkpoints.empty();
    },
    finishCheckpoints: checkpoints.finish,
    close: () => {
      checkpoints.close();
      walSync.close();
      try {
        rewriteIfNeeded();
      } catch (error) {
        log?.error("the database is left as it is: the next start copies all of its log again", {
          error: messageOf(error),
        });
        return;
      }
      sqlite.close();
    },
  };
}

function isSyncFailure({ code }: CopyFailure): boolean {
  return code.endsWith("FSYNC");
}
