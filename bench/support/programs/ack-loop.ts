import type { Socket } from "bun";
import { offer } from "../program.ts";

/** The other limit beside which ingest is measured: lines are read, parsed and acked, and nothing is checked or stored. */
interface Peer {
  rest: string;
  unsent: string;
}

let acks = 0;

function receive(socket: Socket<Peer>, chunk: Buffer): void {
  const lines = (socket.data.rest + chunk.toString("latin1")).split("\n");
  socket.data.rest = lines.pop() ?? "";
  let text = socket.data.unsent;
  for (const line of lines) {
    const { tier } = JSON.parse(line) as { tier: unknown };
    if (typeof tier !== "string") throw new Error("a line has no tier");
    acks += 1;
    // As long as the daemon's.
    text += `{"ok":true,"id":"018f0000-0000-7000-8000-${String(acks).padStart(12, "0")}","deliveries":0}\n`;
  }
  send(socket, text);
}

function send(socket: Socket<Peer>, text: string): void {
  const written = text === "" ? 0 : socket.write(text);
  socket.data.unsent = text.slice(Math.max(0, written));
}

const methods = {
  listen: ({ path }: { path: string }): void => {
    Bun.listen<Peer>({
      unix: path,
      socket: {
        open: (socket) => {
          socket.data = { rest: "", unsent: "" };
        },
        data: receive,
        drain: (socket) => send(socket, socket.data.unsent),
      },
    });
  },
};

export type AckLoopMethods = typeof methods;
offer(methods);
