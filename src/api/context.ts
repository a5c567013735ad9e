import { Elysia } from "elysia";
import { AppError } from "../errors.ts";
import type { Identity } from "../store/api-keys.ts";

/** What is known of a request before its route runs. */
export interface RequestContext {
  requestId: string;
  /** Whether only the head of the answer is asked for. */
  isHead: boolean;
  identity: Identity | null;
}

/** Contexts by request: set by the gate, read by the routes. */
export type RequestContexts = WeakMap<Request, RequestContext>;

/** A plugin for controllers below /v1: gives them `organization`, of whoever is asking, and whether that key may only read. */
export function withOrganization(contexts: RequestContexts) {
  return new Elysia().resolve({ as: "scoped" }, ({ request }) => {
    const identity = contexts.get(request)?.identity;
    if (!identity) throw new AppError("AUTHENTICATION_ERROR", "this route needs an API key");
    return { organization: identity.organization, readOnly: identity.key.readOnly };
  });
}
