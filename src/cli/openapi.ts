import { createApp } from "../api/app.ts";
import { DOCUMENT_PATH } from "../api/docs.ts";
import { VERSION } from "../version.ts";

/** The OpenAPI document, from the same routes that a daemon serves; they are described, never called. */
export async function openApiDocument(): Promise<unknown> {
  const app = createApp(uncalled());
  const answer = await app.handle(new Request(`http://localhost${DOCUMENT_PATH}`));
  return answer.json();
}

/** Options whose functions fail loudly: describing routes needs none of them. */
function uncalled(): Parameters<typeof createApp>[0] {
  const none = new Proxy(
    {},
    {
      get: () => () => {
        throw new Error("this app only describes its routes");
      },
    },
  );
  const group = (): never => none as never;
  return {
    version: VERSION,
    gate: group(),
    webhooks: group(),
    deliveries: group(),
    events: group(),
    statistics: group(),
    stream: group(),
    operations: { version: VERSION, isHealthy: () => false, metrics: group() },
    onFault: () => {},
  };
}
