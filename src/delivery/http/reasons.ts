import { isIP } from "node:net";

/** Why there was no answer, in words for who has to mend it. What a receiver sends comes into them as plain host names only. */

/** An address as it is written beside a port. */
export function placeOf(address: string, port: number): string {
  return `${address} port ${port}`;
}

/** What Bun says of a TLS handshake that failed. */
export interface TlsFault {
  code?: string;
  message: string;
}

export interface TlsPeer {
  /** The name or address that was asked for. */
  host: string;
  /** `subjectAltName` of its certificate, as Node.js writes it; undefined when none came. */
  altNames: string | undefined;
}

const ISSUER_UNKNOWN = new Set([
  "DEPTH_ZERO_SELF_SIGNED_CERT",
  "SELF_SIGNED_CERT_IN_CHAIN",
  "UNABLE_TO_GET_ISSUER_CERT",
  "UNABLE_TO_GET_ISSUER_CERT_LOCALLY",
  "UNABLE_TO_VERIFY_LEAF_SIGNATURE",
]);

/** The codes are OpenSSL's for certificates (X509_V_ERR_…), and BoringSSL's reasons within the message. */
export function tlsReason({ code, message }: TlsFault, peer: TlsPeer): string {
  if (code === "CERT_HAS_EXPIRED") return "certificate has expired";
  if (code === "CERT_NOT_YET_VALID") return "certificate is not valid yet";
  if (code === "ERR_TLS_CERT_ALTNAME_INVALID") return `certificate is for ${namesOf(peer.altNames)}`;
  if (code !== undefined && ISSUER_UNKNOWN.has(code)) return "issuer is unknown";
  return alertReason(message, peer) ?? otherReason(code, message);
}

function alertReason(message: string, { host, altNames }: TlsPeer): string | null {
  const wantsCertificate = "the receiver wants a client certificate";
  if (message.includes("CERTIFICATE_REQUIRED")) return wantsCertificate;
  if (/ALERT_(HANDSHAKE_FAILURE|BAD_CERTIFICATE)/.test(message)) {
    // TLS 1.2 has no word of its own for it. The receiver had shown its certificate: so all but ours was agreed on.
    return altNames === undefined ? "the receiver and we have no TLS cipher in common" : wantsCertificate;
  }
  if (/PROTOCOL_VERSION|UNSUPPORTED_PROTOCOL/.test(message))
    return "the receiver speaks TLS 1.1 or older only; TLS 1.2 is the oldest that is accepted";
  if (/WRONG_VERSION_NUMBER|HTTP_REQUEST/.test(message))
    return "the receiver speaks no TLS on this port, perhaps plain HTTP";
  return message.includes("UNRECOGNIZED_NAME") ? `the receiver does not know the name ${host}` : null;
}

/** BoringSSL's own word for what is rare. */
function otherReason(code: string | undefined, message: string): string {
  const word = /([A-Z][A-Z0-9_]{2,60})$/.exec(message)?.[1] ?? /^[A-Z0-9_]{3,60}$/.exec(code ?? "")?.[0];
  return word ? `TLS failed: ${word.toLowerCase().replaceAll("_", " ")}` : "TLS failed";
}

const MAX_NAMES = 3;
const MAX_NAME_LENGTH = 100;

/** `DNS:a.example, IP Address:192.0.2.1` as `a.example, 192.0.2.1`; what is no name of a host is left out. */
function namesOf(altNames: string | undefined): string {
  const names = (altNames ?? "")
    .split(", ")
    .map((part) => part.replace(/^(DNS|IP Address):/, ""))
    .filter((name) => isIP(name) > 0 || /^[\w*.-]+$/.test(name))
    .map((name) => name.slice(0, MAX_NAME_LENGTH));
  if (names.length === 0) return "no name at all";
  const rest = names.length - MAX_NAMES;
  return `${names.slice(0, MAX_NAMES).join(", ")}${rest > 0 ? ` and ${rest} more` : ""}`;
}
