import { AppError } from "../errors.ts";
import { missingRoutingKey, type WebhookFormat } from "../formats.ts";

export interface UrlRules {
  allowHttp: boolean;
  /** Whether a host, as `new URL` spells it, is one that the target guard refuses without asking DNS. */
  isBlockedHost: (hostname: string) => boolean;
}

/** What a service needs in the URLs of a format. */
interface UrlNeed {
  /** What the URL matches, as the API's document says it. */
  pattern: string;
  /** A sentence for who gave another one; null when nothing is missing. */
  problemOf: (url: string) => string | null;
}

export const URL_NEEDS: Readonly<Record<WebhookFormat, UrlNeed | null>> = {
  json: null,
  slack: null,
  teams: null,
  discord: null,
  pagerduty: {
    pattern: "[?]([A-Za-z0-9._~=-]*&)?routing_key=[A-Za-z0-9]{32}$",
    problemOf: (url) =>
      missingRoutingKey(url)
        ? "url must have one routing_key query parameter of 32 characters for the format pagerduty"
        : null,
  },
};

/** Throws AppError with a sentence that says what is wrong with a webhook's URL for its format. */
export function checkWebhookUrl(url: string, format: WebhookFormat, rules: UrlRules): void {
  const problem = problemOf(url, rules) ?? URL_NEEDS[format]?.problemOf(url);
  if (problem) throw new AppError("VALIDATION_ERROR", problem);
}

function problemOf(text: string, { allowHttp, isBlockedHost }: UrlRules): string | null {
  // The parser would strip some of these silently, and what is shown would differ from what is called.
  if (/[\s\p{Cc}]/u.test(text) || !text.isWellFormed()) {
    return "url must not contain spaces or control characters";
  }
  const scheme = allowHttp ? "http or https" : "https";
  // It would mend these too: `https:host`, `https:\\host`.
  if (/^https?:(?!\/\/[^/\\?#]+([/?#]|$))/i.test(text)) {
    return `url must be an absolute ${scheme} URL: https://, a host, and a path`;
  }
  if (!URL.canParse(text)) return `url must be an absolute ${scheme} URL`;
  const { protocol, hash, hostname, port } = new URL(text);
  if (protocol !== "https:" && !(allowHttp && protocol === "http:")) {
    return `url must be an ${scheme} URL`;
  }
  // Also where both are empty, which the parser does not tell.
  if (/^[a-z]+:\/\/[^/?#]*@/i.test(text)) return "url must not contain a user name or password";
  if (hash !== "" || text.includes("#")) return "url must not have a fragment (#)";
  if (port === "0") return "url must not have port 0, to which nobody can connect";
  return isBlockedHost(hostname) ? "url must not point to a private, local or reserved address" : null;
}
