/** What is made with the secret key of the installation. Needs a store that was opened with one. */
export interface Secrets {
  /** A secret of 64 hex digits for another purpose, that tells nothing of the key. */
  derive(purpose: string): string;
  /**
   * Makes a new key, seals every webhook secret with it, and puts it in its place; resolves with how many webhooks
   * that were. Only while no daemon runs on the store. Cut short anywhere, it leaves a key that fits, and the next
   * opening tidies up.
   */
  rotateKey(): Promise<number>;
}
