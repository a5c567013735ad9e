/** Hashes a scanner's id within its organization. */
export type HashId = (organizationId: number, externalId: string) => number;

/** For taking 32 bits of a BigInt: arithmetic on those is slow. */
const wide = new BigUint64Array(1);
const narrow = new Uint32Array(wide.buffer);

/** 32 bits: an id in a hundred thousand shares its hash with one of a run. */
export function createHash(seed: bigint): HashId {
  return (organizationId, externalId) => {
    wide[0] = Bun.hash.xxHash3(`${organizationId}:${externalId}`, seed);
    return narrow[0] as number;
  };
}
