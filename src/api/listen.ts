import { isIP } from "node:net";
import { messageOf, UsageError } from "../errors.ts";
import { newRequestId } from "../ids.ts";
import type { createApp } from "./app.ts";
import { envelope, toAppError } from "./errors.ts";

/** Longer than any attempt that `test` may wait for, and than a recovery takes between two steps. */
const IDLE_SECONDS = 120;

/** What Bun says of a name that cannot be looked up. */
const NO_ADDRESS: ReadonlySet<unknown> = new Set(["ENOENT", "EINVAL", "ENOTFOUND"]);

function codeOf(error: unknown): unknown {
  return error instanceof Error && "code" in error ? error.code : undefined;
}

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
    const why =
      NO_ADDRESS.has(codeOf(error)) && isIP(host) === 0 ? "the name has no address" : messageOf(error);
    throw new UsageError(`cannot listen on ${host} port ${port}: ${why}`, 1);
  }
  const server = app.server;
  if (!server) throw new UsageError(`cannot listen on ${host} port ${port}`, 1);
  return `http://${host.includes(":") ? `[${host}]` : host}:${server.port}`;
}
