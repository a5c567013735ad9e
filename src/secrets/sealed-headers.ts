import type { WebhookHeaders } from "../webhook-headers.ts";
import type { SecretBox } from "./secret-box.ts";

/** The header fields of a webhook's own as its row holds them: both null when there are none. */
export interface SealedHeaders {
  headers: Buffer | null;
  /** In the open, as every answer shows them. */
  headerNames: string[] | null;
}

/** Bound to the webhook like its secret, but never to be taken for it. */
function label(webhookUuid: string): string {
  return `${webhookUuid}/headers`;
}

export function sealHeaders(headers: WebhookHeaders, webhookUuid: string, box: SecretBox): SealedHeaders {
  const headerNames = Object.keys(headers);
  if (headerNames.length === 0) return { headers: null, headerNames: null };
  return { headers: box.seal(JSON.stringify(headers), label(webhookUuid)), headerNames };
}

/** Throws as SecretBox.open does. */
export function openHeaders(
  { headers, uuid }: { headers: Uint8Array | null; uuid: string },
  box: SecretBox,
): WebhookHeaders {
  return headers === null ? {} : JSON.parse(box.open(headers, label(uuid)));
}

/** Seals with `next` what `present` opens. */
export function resealHeaders(
  { headers, uuid }: { headers: Uint8Array | null; uuid: string },
  present: SecretBox,
  next: SecretBox,
): Buffer | null {
  return headers && next.seal(present.open(headers, label(uuid)), label(uuid));
}
