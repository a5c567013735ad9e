import { expect, test } from "bun:test";
import { isIP } from "node:net";
import fc from "fast-check";
import { createTargetGuard, parseCidr } from "../../src/delivery/target-guard.ts";

// A second formulation, as inclusive ranges of integers written down from the IANA registries and RFCs on
// their own. It shares nothing with the module, so that a slip in one shows against the other.
type Range = readonly [bigint, bigint];

const forbidden32: Range[] = [
  [0x00000000n, 0x00ffffffn],
  [0x0a000000n, 0x0affffffn],
  [0x64400000n, 0x647fffffn],
  [0x7f000000n, 0x7fffffffn],
  [0xa83f8110n, 0xa83f8110n],
  [0xa9fe0000n, 0xa9feffffn],
  [0xac100000n, 0xac1fffffn],
  [0xc0000000n, 0xc00000ffn],
  [0xc0000200n, 0xc00002ffn],
  [0xc01fc400n, 0xc01fc4ffn],
  [0xc034c100n, 0xc034c1ffn],
  [0xc0586300n, 0xc05863ffn],
  [0xc0a80000n, 0xc0a8ffffn],
  [0xc0af3000n, 0xc0af30ffn],
  [0xc6120000n, 0xc613ffffn],
  [0xc6336400n, 0xc63364ffn],
  [0xcb007100n, 0xcb0071ffn],
  [0xe0000000n, 0xffffffffn],
];

// The upper 64 bits of what is forbidden in IPv6 (no block is finer), embedded IPv4 aside.
const forbidden64: Range[] = [
  [0x0000_0000_0000_0000n, 0x1fff_ffff_ffff_ffffn],
  [0x2001_0000_0000_0000n, 0x2001_01ff_ffff_ffffn],
  [0x2001_0db8_0000_0000n, 0x2001_0db8_ffff_ffffn],
  [0x2620_004f_8000_0000n, 0x2620_004f_8000_ffffn],
  [0x3fff_0000_0000_0000n, 0x3fff_0fff_ffff_ffffn],
  [0x4000_0000_0000_0000n, 0xffff_ffff_ffff_ffffn],
];

const isIn = (ranges: Range[], n: bigint) => ranges.some(([first, last]) => n >= first && n <= last);
const allowed4 = (n: bigint) => !isIn(forbidden32, n);

function allowed6(n: bigint): boolean {
  const low32 = n % 2n ** 32n;
  if (n / 2n ** 32n === 0xffffn) return allowed4(low32);
  if (n / 2n ** 32n === 0x0064_ff9b_0000_0000_0000_0000n) return allowed4(low32);
  if (n / 2n ** 112n === 0x2002n) return allowed4((n / 2n ** 80n) % 2n ** 32n);
  return !isIn(forbidden64, n / 2n ** 64n);
}

const text4 = (n: bigint) => [24n, 16n, 8n, 0n].map((shift) => (n >> shift) & 255n).join(".");
const groups6 = (n: bigint) =>
  Array.from({ length: 8 }, (_, i) => ((n >> BigInt(112 - 16 * i)) & 0xffffn).toString(16));

// Every way of writing one IPv6 address that getaddrinfo or a person might choose.
function spellings6(n: bigint): string[] {
  const full = groups6(n).join(":");
  const padded = groups6(n)
    .map((group) => group.padStart(4, "0"))
    .join(":");
  const short = new URL(`http://[${full}]`).hostname.slice(1, -1);
  const dotted = `${groups6(n).slice(0, 6).join(":")}:${text4(n & 0xffffffffn)}`;
  return [full, padded, short, dotted, padded.toUpperCase()];
}

const uint = (bits: number) => fc.bigInt({ min: 0n, max: 2n ** BigInt(bits) - 1n });
const clamp = (n: bigint, bits: number) => BigInt.asUintN(bits, n);
const nearEdges = (ranges: Range[], bits: number) =>
  fc
    .tuple(fc.constantFrom(...ranges.flat()), fc.bigInt({ min: -2n, max: 2n }))
    .map(([edge, by]) => clamp(edge + by, bits));

const any4 = fc.oneof(uint(32), nearEdges(forbidden32, 32));
const upper64 = fc.oneof(
  uint(64),
  nearEdges(forbidden64, 64),
  uint(61).map((n) => (1n << 61n) + n),
);
const lower64 = fc.oneof(uint(64), fc.constantFrom(0n, 1n, 2n ** 64n - 1n));
const embedding = fc.tuple(any4, uint(80)).chain(([v4, rest]) =>
  fc.constantFrom(
    v4, // IPv4-compatible
    (0xffffn << 32n) | v4,
    (0xffffn << 48n) | v4, // IPv4-translated
    (0x64_ff9bn << 96n) | v4,
    (0x64_ff9b_0001n << 80n) | v4,
    (0x64_ff9bn << 96n) | (1n << 32n) | v4,
    (0x2002n << 112n) | (v4 << 80n) | rest,
    (0x2001n << 112n) | (v4 << 64n) | (rest >> 16n), // Teredo
  ),
);
const any6 = fc.oneof(
  uint(128),
  fc.tuple(upper64, lower64).map(([high, low]) => (high << 64n) | low),
  embedding,
);

const guard = createTargetGuard({ allowNetworks: [] });
const runs = { numRuns: 3000 };

test("any IPv4 address is judged as the registry's ranges say", () => {
  fc.assert(
    fc.property(any4, (n) => guard.isAllowedAddress(text4(n)) === allowed4(n)),
    runs,
  );
});

test("any IPv6 address is judged as the registry's ranges say, in every spelling", () => {
  const agrees = (n: bigint) => spellings6(n).every((text) => guard.isAllowedAddress(text) === allowed6(n));
  fc.assert(fc.property(any6, agrees), runs);
});

test("a URL that holds an address is judged as the address, in every spelling", () => {
  const hosts4 = (n: bigint) => [
    `${n}`,
    `0x${n.toString(16)}`,
    `0${n.toString(8)}`,
    `${n >> 24n}.${n & 0xffffffn}`,
    `${text4(n)}.`,
  ];
  const verdict = (host: string) => guard.checkHost(new URL(`https://${host}/`).hostname);
  const expected = (isAllowed: boolean) => (isAllowed ? "allowed" : "blocked");
  fc.assert(
    fc.property(any4, (n) => hosts4(n).every((host) => verdict(host) === expected(allowed4(n)))),
    runs,
  );
  fc.assert(
    fc.property(any6, (n) => spellings6(n).every((text) => verdict(`[${text}]`) === expected(allowed6(n)))),
    runs,
  );
});

test("an opened network allows exactly its own addresses beyond the public ones", () => {
  const near = (bits: number, any: fc.Arbitrary<bigint>) =>
    fc.tuple(any, fc.integer({ min: 0, max: bits }), any, fc.integer({ min: 0, max: bits }));
  const agrees =
    (bits: number, text: (n: bigint) => string, isPublic: (n: bigint) => boolean) =>
    ([base, length, other, flip]: [bigint, number, bigint, number]) => {
      const host = BigInt(bits - length);
      const opened = createTargetGuard({
        allowNetworks: [parseCidr(`${text((base >> host) << host)}/${length}`)],
      });
      // The base with one bit turned lies just inside or just outside, which a random address seldom does.
      const candidates = [base, other, clamp(base ^ (1n << BigInt(flip)), bits)];
      return candidates.every(
        (n) => opened.isAllowedAddress(text(n)) === (isPublic(n) || n >> host === base >> host),
      );
    };
  const plain6 = any6.filter((n) => n >> 48n !== 0n); // IPv4-mapped is IPv4 to the guard, and tested as such
  const text6 = (n: bigint) => groups6(n).join(":");
  fc.assert(fc.property(near(32, any4), agrees(32, text4, allowed4)), runs);
  fc.assert(fc.property(near(128, plain6), agrees(128, text6, allowed6)), runs);
});

test("an own address is refused and no other is", () => {
  fc.assert(
    fc.property(any4, any4, (own, other) => {
      const atHome = createTargetGuard({ allowNetworks: [], ownAddresses: () => [text4(own)] });
      expect(atHome.isAllowedAddress(text4(own))).toBe(false);
      expect(atHome.isAllowedAddress(text4(other))).toBe(own !== other && allowed4(other));
    }),
    runs,
  );
});

test("text is read as an address only where node:net reads one too, whatever is opened", () => {
  const open = createTargetGuard({ allowNetworks: [parseCidr("0.0.0.0/0"), parseCidr("::/0")] });
  const nearly = fc
    .array(fc.constantFrom(..."0123456789abfF:::...%x/[] \n".split("")), { maxLength: 24 })
    .map((parts) => parts.join(""));
  const broken = fc
    .tuple(any6, fc.nat(4), fc.nat(40), fc.constantFrom("", ":", "::", ".", "0", "g", "%1", " "))
    .map(([n, kind, at, extra]) => {
      const text = spellings6(n)[kind] ?? "";
      return text.slice(0, at) + extra + text.slice(at + 1);
    });
  const agrees = (text: string) => open.isAllowedAddress(text) === (isIP(text) !== 0 && !text.includes("%"));
  fc.assert(fc.property(fc.oneof(fc.string({ unit: "binary" }), nearly, broken), agrees), runs);
});

test("no host text makes the guard throw, and none but an allowed literal is called allowed", () => {
  fc.assert(
    fc.property(fc.oneof(fc.string({ unit: "binary" }), fc.domain()), (host) => {
      const literal = host.replace(/\.$/, "").replace(/^\[(.*)\]$/, "$1");
      if (guard.checkHost(host) === "allowed") expect(guard.isAllowedAddress(literal)).toBe(true);
    }),
    runs,
  );
});
