import { messageOf, UsageError } from "../errors.ts";
import { newRequestId } from "../ids.ts";
import type { createApp } from "./app.ts";
import { envelope, toAppError } from "./errors.ts";

/** Longer than any attempt that `test` may wait for, and than a recovery takes between two steps. */
const IDLE_SECONDS = 120;

/** Has the API listen; answers its URL. Throws UsageError where it cannot. */
export function listen(
  app: ReturnType<typeof createApp>,
  { host, port }: { host: string; port: number },
  onFault: (error: unknown) => void,
): string {
  try {
    app.listen({
      hostname: host,
      port,
      idleTimeout: IDLE_SECONDS,
      // Two processes sharing a port would each get some of the requests.
      reusePort: false,
      development: false,
      maxRequestBodySize: 1024 * 1024,
      // What fails before Elysia's own error handler: Bun would answer with a page of its own.
      error: (error) => {
        onFault(error);
        return Response.json(
          envelope(
            toAppError(error, () => {}),
            newRequestId(),
          ),
          { status: 500 },
        );
      },
    });
  } catch (error) {
    throw new UsageError(`cannot listen on ${host} port ${port}: ${messageOf(error)}`, 1);
  }
  const server = app.server;
  if (!server) throw new UsageError(`cannot listen on ${host} port ${port}`, 1);
  return `http://${host.includes(":") ? `[${host}]` : host}:${server.port}`;
}
