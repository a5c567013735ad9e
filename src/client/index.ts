import { isRedirect, parseJson } from "./answers.ts";
import {
  checkBaseUrl,
  checkKey,
  checkTimeout,
  deliveryPath,
  encodeId,
  searchOf,
  webhookPath,
} from "./arguments.ts";
import {
  errorFromAnswer,
  foreignAnswerError,
  IndigiArmorError,
  isObject,
  networkError,
  redirectError,
  timeoutError,
} from "./errors.ts";
import { readOutcomes } from "./stream.ts";
import type {
  CreateWebhookInput,
  Delivery,
  DeliveryDetail,
  DeliveryPage,
  EventPage,
  ListDeliveriesQuery,
  ListEventsQuery,
  Outcome,
  ScanEvent,
  Statistics,
  StatisticsQuery,
  TestResult,
  UpdateWebhookInput,
  Webhook,
  WebhookWithSecret,
} from "./types.ts";

export {
  AuthenticationError,
  IndigiArmorError,
  NotFoundError,
  RateLimitError,
  ValidationError,
} from "./errors.ts";

export type * from "./types.ts";

/** The part of `fetch` that the client uses. */
export type Fetch = (url: string, init: RequestInit) => Promise<Response>;

/** `timeout` is in milliseconds, for one call, its answer included (default 30,000). */
export interface IndigiArmorOptions {
  baseUrl?: string | undefined;
  timeout?: number | undefined;
  fetch?: Fetch | undefined;
}

type Route = `${"GET" | "POST" | "PATCH" | "DELETE"} /v1/${string}`;

const DEFAULT_BASE_URL = "http://127.0.0.1:8787";
// The test of a webhook may take a little over 10 s, so the default is well above.
const DEFAULT_TIMEOUT_MS = 30_000;
/** A stream says something every 15 s. */
const MIN_SILENCE_MS = 45_000;
const SILENT = "the stream has gone silent";

/** The armorhooks API: each method makes one request and rejects with an `IndigiArmorError` or a subclass. */
export class IndigiArmor {
  // Private fields, so that printing the client does not print the key.
  readonly #key: string;
  readonly #baseUrl: string;
  readonly #timeout: number;
  readonly #fetch: Fetch;

  constructor(key: string, options: IndigiArmorOptions = {}) {
    this.#key = checkKey(key);
    this.#baseUrl = checkBaseUrl(options.baseUrl ?? DEFAULT_BASE_URL);
    this.#timeout = checkTimeout(options.timeout ?? DEFAULT_TIMEOUT_MS);
    // Wrapped, as browsers refuse to run their `fetch` as a method of another object.
    const send = options.fetch ?? fetch;
    this.#fetch = (url, init) => send(url, init);
  }

  /** Registers a webhook; keep the `secret` of the answer, it is not shown again. */
  async createWebhook(input: CreateWebhookInput): Promise<WebhookWithSecret> {
    const answer = await this.#request<{ webhook: WebhookWithSecret }>("POST /v1/webhooks", "webhook", input);
    return answer.webhook;
  }

  /** All webhooks of the organization, newest first. */
  async listWebhooks(): Promise<Webhook[]> {
    const answer = await this.#request<{ webhooks: Webhook[] }>("GET /v1/webhooks", "webhooks");
    return answer.webhooks;
  }

  /** One webhook. */
  async getWebhook(id: string): Promise<Webhook> {
    const answer = await this.#request<{ webhook: Webhook }>(`GET ${webhookPath(id)}`, "webhook");
    return answer.webhook;
  }

  /** Changes the given fields; `enabled: true` on a disabled webhook also sets `failure_count` to 0. */
  async updateWebhook(id: string, input: UpdateWebhookInput): Promise<Webhook> {
    const answer = await this.#request<{ webhook: Webhook }>(`PATCH ${webhookPath(id)}`, "webhook", input);
    return answer.webhook;
  }

  /** Removes a webhook and ends its pending deliveries. */
  async deleteWebhook(id: string): Promise<{ deleted: boolean }> {
    return this.#request(`DELETE ${webhookPath(id)}`, "deleted");
  }

  /** Sends a signed test request; resolves with `success: false` when the target does not answer with 2xx. */
  async testWebhook(id: string): Promise<TestResult> {
    return this.#request(`POST ${webhookPath(id)}/test`, "success");
  }

  /** Gives a new secret; the old one signs too for `overlap_seconds` (0 to 604800, default 86400). */
  async rotateSecret(
    id: string,
    input: { overlap_seconds?: number | undefined } = {},
  ): Promise<WebhookWithSecret> {
    const route = `POST ${webhookPath(id)}/rotate-secret` as const;
    const answer = await this.#request<{ webhook: WebhookWithSecret }>(route, "webhook", input);
    return answer.webhook;
  }

  /** Sends again what never reached the webhook between `since` and `until` (default now); says how many. */
  async recoverWebhook(
    id: string,
    input: { since: string | Date; until?: string | Date | undefined },
  ): Promise<{ recovered: number }> {
    return this.#request(`POST ${webhookPath(id)}/recover`, "recovered", input);
  }

  /** One page of a webhook's deliveries, newest first. */
  async listDeliveries(webhookId: string, query: ListDeliveriesQuery = {}): Promise<DeliveryPage> {
    return this.#request(`GET ${webhookPath(webhookId)}/deliveries?${searchOf(query)}`, "deliveries");
  }

  /** One delivery with its payload and attempts. */
  async getDelivery(id: string): Promise<DeliveryDetail> {
    const answer = await this.#request<{ delivery: DeliveryDetail }>(`GET ${deliveryPath(id)}`, "delivery");
    return answer.delivery;
  }

  /** Makes a delivery due now, with a fresh budget of attempts. */
  async retryDelivery(id: string): Promise<Delivery> {
    const route = `POST ${deliveryPath(id)}/retry` as const;
    const answer = await this.#request<{ delivery: Delivery }>(route, "delivery");
    return answer.delivery;
  }

  /** One page of the organization's events, newest first, also those that nobody subscribed to. */
  async listEvents(query: ListEventsQuery = {}): Promise<EventPage> {
    return this.#request(`GET /v1/events?${searchOf(query)}`, "events");
  }

  /** One event with its delivery to each webhook. */
  async getEvent(id: string): Promise<{ event: ScanEvent; deliveries: Delivery[] }> {
    return this.#request(`GET /v1/events/${encodeId(id)}`, "event");
  }

  /** Attempts, deliveries that ended and latencies over the latest minutes, by webhook. */
  async getStatistics(query: StatisticsQuery = {}): Promise<Statistics> {
    return this.#request(`GET /v1/stats?${searchOf(query)}`, "webhooks");
  }

  /**
   * Outcomes as they happen, until the loop is left, `signal` aborts or the daemon ends the stream. The timeout is for
   * the answer's beginning, and for silence: the daemon says something every 15 s.
   */
  async *stream(
    options: { signal?: AbortSignal | undefined } = {},
  ): AsyncGenerator<Outcome, void, undefined> {
    const ended = new AbortController();
    const { signal } = ended;
    // Not AbortSignal.any, which Node.js 18 does not have.
    const stop = (): void => ended.abort(options.signal?.reason);
    if (options.signal?.aborted) stop();
    options.signal?.addEventListener("abort", stop, { once: true });
    const silence = Math.max(this.#timeout, MIN_SILENCE_MS);
    let timer = setTimeout(() => ended.abort(SILENT), this.#timeout);
    const heard = (): void => {
      clearTimeout(timer);
      timer = setTimeout(() => ended.abort(SILENT), silence);
    };
    try {
      const answer = await this.#fetch(`${this.#baseUrl}/v1/stream`, {
        headers: { accept: "text/event-stream", authorization: `Bearer ${this.#key}` },
        signal,
        redirect: "manual",
      });
      heard();
      if (isRedirect(answer)) throw redirectError(answer);
      if (!answer.ok) throw errorFromAnswer(answer, parseJson(this.#withoutKey(await answer.text())));
      if (!answer.body) throw foreignAnswerError(answer);
      yield* readOutcomes(answer.body, heard);
    } catch (cause) {
      if (cause instanceof IndigiArmorError) throw cause;
      if (options.signal?.aborted) return;
      throw ended.signal.aborted ? timeoutError(silence, cause) : networkError(this.#baseUrl, cause);
    } finally {
      clearTimeout(timer);
      options.signal?.removeEventListener("abort", stop);
      ended.abort();
    }
  }

  /** The parsed 2xx answer, which is an object that has `field`. */
  async #request<T>(route: Route, field: keyof T & string, input?: object): Promise<T> {
    const { answer, text } = await this.#exchange(route, input);
    if (isRedirect(answer)) throw redirectError(answer);
    if (!answer.ok) throw errorFromAnswer(answer, parseJson(this.#withoutKey(text)));
    const body = parseJson(text);
    if (isObject(body) && field in body) return body as T;
    throw foreignAnswerError(answer);
  }

  // A debugging proxy may echo the request's headers in its error.
  #withoutKey(text: string): string {
    return this.#key.startsWith("ia_sk_") ? text.replaceAll(this.#key, "[key]") : text;
  }

  async #exchange(route: Route, input?: object): Promise<{ answer: Response; text: string }> {
    const [method = "", path = ""] = route.split(" ");
    const headers: Record<string, string> = {
      accept: "application/json",
      authorization: `Bearer ${this.#key}`,
    };
    if (input !== undefined) headers["content-type"] = "application/json";
    const signal = AbortSignal.timeout(this.#timeout);
    // A followed redirect would turn a POST into a GET, and might carry the key to another host.
    const init: RequestInit = { method, headers, signal, redirect: "manual" };
    if (input !== undefined) init.body = JSON.stringify(input);
    try {
      const answer = await this.#fetch(this.#baseUrl + path, init);
      return { answer, text: await answer.text() };
    } catch (cause) {
      throw signal.aborted ? timeoutError(this.#timeout, cause) : networkError(this.#baseUrl, cause);
    }
  }
}
