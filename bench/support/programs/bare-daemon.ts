import { Database } from "bun:sqlite";
import { fdatasync, openSync } from "node:fs";
import { join } from "node:path";
import type { Socket } from "bun";
import { offer } from "../program.ts";

/**
 * The limit beside what an event costs a daemon at rest: the runtime, woken up for a line from a Unix socket, a
 * transaction of two rows, a sync of the log, a request, and a transaction for its answer; nothing else.
 */
interface Statements {
  begin(): void;
  commit(): void;
  insertEvent(body: string): void;
  insertDelivery(): void;
  setDelivered(): void;
}

let delivered = 0;

function prepare(path: string): Statements {
  const sqlite = new Database(path);
  sqlite.exec("PRAGMA journal_mode = WAL");
  sqlite.exec("PRAGMA synchronous = NORMAL");
  sqlite.exec("CREATE TABLE events (id INTEGER PRIMARY KEY, body TEXT)");
  sqlite.exec("CREATE TABLE deliveries (id INTEGER PRIMARY KEY, status INTEGER)");
  const statement = (sql: string) => {
    const prepared = sqlite.prepare(sql);
    return (...values: string[]): void => void prepared.run(...values);
  };
  return {
    begin: statement("BEGIN IMMEDIATE"),
    commit: statement("COMMIT"),
    insertEvent: statement("INSERT INTO events (body) VALUES (?)"),
    insertDelivery: statement("INSERT INTO deliveries (status) VALUES (0)"),
    setDelivered: statement("UPDATE deliveries SET status = 1 WHERE id = (SELECT max(id) FROM deliveries)"),
  };
}

function connectTo(port: number, { begin, commit, setDelivered }: Statements): Promise<Socket> {
  return Bun.connect({
    hostname: "127.0.0.1",
    port,
    socket: {
      data(_socket, answer) {
        if (!answer.toString("latin1").startsWith("HTTP/1.1 200")) return;
        begin();
        setDelivered();
        commit();
        delivered += 1;
      },
    },
  });
}

const methods = {
  /** Begins to take lines, and to send them to a port of this machine. */
  serve: async ({ dir, socket, port }: { dir: string; socket: string; port: number }): Promise<void> => {
    const path = join(dir, "bare.db");
    const statements = prepare(path);
    const log = openSync(`${path}-wal`, "r+");
    const receiver = await connectTo(port, statements);
    Bun.listen({
      unix: socket,
      socket: {
        data(scanner, line) {
          const body = JSON.stringify(JSON.parse(line.toString()));
          statements.begin();
          statements.insertEvent(body);
          statements.insertDelivery();
          statements.commit();
          receiver.write(
            `POST / HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Length: ${Buffer.byteLength(body)}\r\n\r\n${body}`,
          );
          fdatasync(log, () => scanner.write('{"ok":true,"deliveries":1}\n'));
        },
      },
    });
  },
  delivered: (): number => delivered,
};

export type BareDaemonMethods = typeof methods;
offer(methods);
