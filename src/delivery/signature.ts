/**
 * Standard Webhooks signatures (https://www.standardwebhooks.com): the signed content is
 * `id.timestamp.body`, the signature `v1,` and the base64 of its HMAC-SHA256.
 */
export type Signer = (id: string, timestamp: number, body: string) => string;

/**
 * A signer for one secret, or for several while rotated ones are still valid. A secret is 64 hex characters
 * and the HMAC key is the base64 decoding of that string, which is what every Standard Webhooks library
 * makes of the secret as it was returned.
 */
export function createSigner(secrets: readonly string[]): Signer {
  // A keyed hasher that is copied costs half of a new one.
  const hashers = secrets.map((secret) => new Bun.CryptoHasher("sha256", Buffer.from(secret, "base64")));
  return (id, timestamp, body) => {
    const content = `${id}.${timestamp}.${body}`;
    let header = "";
    for (const hasher of hashers) {
      const digest = hasher.copy().update(content).digest("base64");
      header += header === "" ? `v1,${digest}` : ` v1,${digest}`;
    }
    return header;
  };
}
