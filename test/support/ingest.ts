import { type Client, type Connection, createClient } from "../../src/ingest/client.ts";

/** A connection without a socket below it, for tests of the parts of the ingest server. */
export interface BareConnection {
  name: string;
  data: Client;
  /** Whether the socket is read from. */
  isRead: boolean;
}

export function connectionOf(name: string): Connection & BareConnection {
  const connection = {
    name,
    data: createClient(),
    isRead: true,
    pause: () => {
      connection.isRead = false;
    },
    resume: () => {
      connection.isRead = true;
    },
  };
  return connection as unknown as Connection & BareConnection;
}

export function say(connection: Connection, text: string): void {
  connection.data.splitter.push(Buffer.from(text));
}
