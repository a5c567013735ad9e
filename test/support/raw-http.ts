import { connect } from "node:net";

/** One answer as it came over the wire; header names in lower case. */
export interface RawAnswer {
  status: number;
  headers: Record<string, string>;
  body: string;
}

/**
 * Writes bytes to a port of 127.0.0.1 as they are and answers everything that came back until the server
 * closed the connection or had been silent for `quietMs`.
 */
export function exchange(port: number, bytes: string | Buffer, quietMs = 150): Promise<string> {
  return new Promise((resolve) => {
    const socket = connect({ host: "127.0.0.1", port });
    let text = "";
    let timer = setTimeout(() => socket.destroy(), 2_000);
    socket.on("connect", () => socket.write(bytes));
    socket.on("data", (chunk) => {
      text += chunk.toString("utf8");
      clearTimeout(timer);
      timer = setTimeout(() => socket.destroy(), quietMs);
    });
    socket.on("error", () => {});
    socket.on("close", () => {
      clearTimeout(timer);
      resolve(text);
    });
  });
}

/** The answers in what `exchange` gave. */
export function parseAnswers(text: string): RawAnswer[] {
  return text.split(/^(?=HTTP\/1\.[01] \d{3} )/m).flatMap((part) => {
    const match = /^HTTP\/1\.[01] (\d{3})[^\r\n]*\r\n([\s\S]*?)\r\n\r\n([\s\S]*)$/.exec(`${part}`);
    if (!match) return [];
    const [, status, head, body] = match as unknown as [string, string, string, string];
    const headers = Object.fromEntries(
      head.split("\r\n").map((line) => {
        const colon = line.indexOf(":");
        return [line.slice(0, colon).toLowerCase(), line.slice(colon + 1).trim()];
      }),
    );
    return [{ status: Number(status), headers, body }];
  });
}
