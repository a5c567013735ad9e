/** One request as a receiver got it. */
export interface Received {
  path: string;
  headers: Record<string, string>;
  body: string;
  at: number;
}

export interface Receiver {
  url: string;
  port: number;
  received: Received[];
  /** What the next requests are answered with; 200 "ok" at first. */
  answer: (request: Received) => Response | Promise<Response>;
  stop(): Promise<void>;
}

/** A real HTTP receiver on loopback that keeps what it gets. */
export function startReceiver(answer: Receiver["answer"] = () => new Response("ok"), port = 0): Receiver {
  const received: Received[] = [];
  const server = Bun.serve({
    hostname: "127.0.0.1",
    port,
    idleTimeout: 60,
    async fetch(request) {
      const got: Received = {
        path: new URL(request.url).pathname + new URL(request.url).search,
        headers: Object.fromEntries(request.headers),
        body: await request.text(),
        at: performance.now(),
      };
      received.push(got);
      return receiver.answer(got);
    },
  });
  const receiver: Receiver = {
    url: `http://127.0.0.1:${server.port}/hook`,
    port: server.port as number,
    received,
    answer,
    stop: () => server.stop(true),
  };
  return receiver;
}
