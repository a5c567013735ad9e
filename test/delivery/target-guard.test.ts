import { describe, expect, test } from "bun:test";
import { createTargetGuard, type HostVerdict, parseCidr } from "../../src/delivery/target-guard.ts";

const ffff = "ffff:ffff:ffff:ffff:ffff:ffff";
const guard = createTargetGuard({ allowNetworks: [] });
const words = (text: string) => text.trim().split(/\s+/);
const opening = (...networks: string[]) => createTargetGuard({ allowNetworks: networks.map(parseCidr) });
const verdictOfUrl = (host: string, by = guard): HostVerdict =>
  by.checkHost(new URL(`https://${host}/hook`).hostname);

// Block, first and last address, then the neighbours that are public ("" where another refused block begins).
const ipv4Blocks: [string, string, string, string, string][] = [
  ["0.0.0.0/8", "0.0.0.0", "0.255.255.255", "", "1.0.0.0"],
  ["10.0.0.0/8", "10.0.0.0", "10.255.255.255", "9.255.255.255", "11.0.0.0"],
  ["100.64.0.0/10", "100.64.0.0", "100.127.255.255", "100.63.255.255", "100.128.0.0"],
  ["127.0.0.0/8", "127.0.0.0", "127.255.255.255", "126.255.255.255", "128.0.0.0"],
  ["168.63.129.16/32", "168.63.129.16", "168.63.129.16", "168.63.129.15", "168.63.129.17"],
  ["169.254.0.0/16", "169.254.0.0", "169.254.255.255", "169.253.255.255", "169.255.0.0"],
  ["172.16.0.0/12", "172.16.0.0", "172.31.255.255", "172.15.255.255", "172.32.0.0"],
  ["192.0.0.0/24", "192.0.0.0", "192.0.0.255", "191.255.255.255", "192.0.1.0"],
  ["192.0.2.0/24", "192.0.2.0", "192.0.2.255", "192.0.1.255", "192.0.3.0"],
  ["192.31.196.0/24", "192.31.196.0", "192.31.196.255", "192.31.195.255", "192.31.197.0"],
  ["192.52.193.0/24", "192.52.193.0", "192.52.193.255", "192.52.192.255", "192.52.194.0"],
  ["192.88.99.0/24", "192.88.99.0", "192.88.99.255", "192.88.98.255", "192.88.100.0"],
  ["192.168.0.0/16", "192.168.0.0", "192.168.255.255", "192.167.255.255", "192.169.0.0"],
  ["192.175.48.0/24", "192.175.48.0", "192.175.48.255", "192.175.47.255", "192.175.49.0"],
  ["198.18.0.0/15", "198.18.0.0", "198.19.255.255", "198.17.255.255", "198.20.0.0"],
  ["198.51.100.0/24", "198.51.100.0", "198.51.100.255", "198.51.99.255", "198.51.101.0"],
  ["203.0.113.0/24", "203.0.113.0", "203.0.113.255", "203.0.112.255", "203.0.114.0"],
  ["224.0.0.0/4", "224.0.0.0", "239.255.255.255", "223.255.255.255", ""],
  ["240.0.0.0/4", "240.0.0.0", "255.255.255.255", "", ""],
];

const ipv6Blocks: [string, string, string, string, string][] = [
  ["below 2000::/3", "::", `1fff:ffff:${ffff}`, "", "2000::"],
  ["2001::/23", "2001::", `2001:1ff:${ffff}`, `2000:ffff:${ffff}`, "2001:200::"],
  ["2001:db8::/32", "2001:db8::", `2001:db8:${ffff}`, `2001:db7:${ffff}`, "2001:db9::"],
  [
    "2620:4f:8000::/48",
    "2620:4f:8000::",
    "2620:4f:8000:ffff:ffff:ffff:ffff:ffff",
    `2620:4f:7fff:${ffff.slice(5)}`,
    "2620:4f:8001::",
  ],
  ["3fff::/20", "3fff::", `3fff:fff:${ffff}`, `3ffe:ffff:${ffff}`, "3fff:1000::"],
  ["above 2000::/3", "4000::", `ffff:ffff:${ffff}`, `3fff:ffff:${ffff}`, ""],
];

const hexGroups = (ipv4: string) => {
  const [a = 0, b = 0, c = 0, d = 0] = ipv4.split(".").map(Number);
  return `${(a * 256 + b).toString(16)}:${(c * 256 + d).toString(16)}`;
};
const carriers: [string, (ipv4: string) => string][] = [
  ["written plainly", (ipv4) => ipv4],
  ["IPv4-mapped with a dotted quad", (ipv4) => `::ffff:${ipv4}`],
  ["IPv4-mapped in hex", (ipv4) => `::ffff:${hexGroups(ipv4)}`],
  ["IPv4-mapped in full", (ipv4) => `0000:0000:0000:0000:0000:FFFF:${hexGroups(ipv4).toUpperCase()}`],
  ["behind NAT64", (ipv4) => `64:ff9b::${hexGroups(ipv4)}`],
  ["behind NAT64 with a dotted quad", (ipv4) => `64:ff9b::${ipv4}`],
  ["behind 6to4", (ipv4) => `2002:${hexGroups(ipv4)}::1`],
];

describe.each(carriers)("an IPv4 address %s", (_, carry) => {
  test.each(ipv4Blocks)(
    "is refused from the first to the last of %s and allowed beside it",
    (_, first, last, before, after) => {
      for (const refused of [first, last])
        expect([refused, guard.isAllowedAddress(carry(refused))]).toEqual([refused, false]);
      for (const allowed of [before, after].filter(Boolean)) {
        expect([allowed, guard.isAllowedAddress(carry(allowed))]).toEqual([allowed, true]);
      }
    },
  );

  test("is judged alike when it stands in a URL", () => {
    const host = (ipv4: string) => (carry(ipv4).includes(":") ? `[${carry(ipv4)}]` : ipv4);
    for (const [, first, , , after] of ipv4Blocks) {
      expect(verdictOfUrl(host(first))).toBe("blocked");
      if (after) expect(verdictOfUrl(host(after))).toBe("allowed");
    }
  });
});

test.each(ipv6Blocks)(
  "IPv6 %s is refused from first to last and allowed beside it",
  (_, first, last, before, after) => {
    for (const refused of [first, last])
      expect([refused, guard.isAllowedAddress(refused)]).toEqual([refused, false]);
    for (const allowed of [before, after].filter(Boolean)) {
      expect([allowed, guard.isAllowedAddress(allowed)]).toEqual([allowed, true]);
      expect(verdictOfUrl(`[${allowed}]`)).toBe("allowed");
    }
  },
);

test.each([
  ["loopback", "::1"],
  ["IPv4-compatible, of a public address", "::8.8.8.8"],
  ["below IPv4-mapped", "::fffe:808:808"],
  ["above IPv4-mapped", "::1:0:0:0"],
  ["IPv4-translated (RFC 2765)", "::ffff:0:808:808"],
  ["just below NAT64", `64:ff9a:${ffff}`],
  ["just above NAT64", "64:ff9b::1:0:0"],
  ["local-use NAT64, first", "64:ff9b:1::"],
  ["local-use NAT64 of a public address", "64:ff9b:1::808:808"],
  ["local-use NAT64, last", "64:ff9b:1:ffff:ffff:ffff:ffff:ffff"],
  ["discard-only", "100::1"],
  ["dummy prefix", "100:0:0:1::1"],
  ["Teredo of a public address", "2001:0:808:808::1"],
  ["benchmarking", "2001:2::1"],
  ["ORCHID", "2001:10::1"],
  ["ORCHIDv2", "2001:20::1"],
  ["drone remote IDs", "2001:30::1"],
  ["SRv6 SIDs", "5f00::1"],
  ["ULA, first", "fc00::"],
  ["ULA, last", `fdff:ffff:${ffff}`],
  ["AWS metadata", "fd00:ec2::254"],
  ["Google metadata", "fd20:ce::254"],
  ["link-local", "fe80::1"],
  ["site-local", "fec0::1"],
  ["multicast", "ff02::1"],
])("IPv6 %s is refused: %s", (_, address) => {
  expect(guard.isAllowedAddress(address)).toBe(false);
  expect(verdictOfUrl(`[${address}]`)).toBe("blocked");
});

test.each([
  "1.1.1.1",
  "8.8.8.8",
  "93.184.216.34",
  "2606:4700:4700::1111",
  "2A00:1450:4001:0:0:0:0:200E",
  "2003::1",
])("the public address %s is allowed", (address) => expect(guard.isAllowedAddress(address)).toBe(true));

test.each([
  ...words(`
    127.0.0.1 127.0.0.1. 2130706433 2130706433. 017700000001 0177.0.0.1 0x7f000001 0X7F.0.0.0x1 0x7f.1
    127.1 127.0.1 00000177.1 １２７.0.0.1 １２７。０。０。１ 127%2e0.0.1 %31%32%37.1 ①②⑦.0.0.1 0 0x 0.0.0.0 10.1
    0xa9fea9fe 2852039166 0251.0376.0251.0376 169.254.43518 169.16689662 3232235521 [::] [::1]
    [0:0:0:0:0:0:0:1] [::0001] [0::0.0.0.1] [::127.0.0.1] [::ffff:127.0.0.1] [::FFFF:7F00:1]
    [0:0:0:0:0:ffff:169.254.169.254] [::ffff:a9fe:a9fe] [64:ff9b::127.0.0.1] [2002:7f00:1::] [fe80::1]
    [fd00:ec2::254]
  `),
  "127.0.0.1\u200b",
])("a URL that spells a refused address as %s is blocked", (host) => {
  expect(verdictOfUrl(host)).toBe("blocked");
});

test.each([
  "134744072",
  "0x08080808",
  "010.8.8.8",
  "8.8.2056",
  "８.8.8.8",
  "8.8.8.8.",
  "[::ffff:8.8.8.8]",
  "[2606:4700::1]",
])("a URL that spells a public address as %s is allowed", (host) =>
  expect(verdictOfUrl(host)).toBe("allowed"),
);

test.each([
  "[fe80::1%eth0]",
  "[fe80::1%25eth0]",
  "[2606:4700::1%25eth0]",
  "1.2.3.256",
  "1.2.3.4.5",
  "hooks.0x7f",
  "hooks.1",
])("a URL with the host %s does not parse at all", (host) =>
  expect(() => new URL(`https://${host}/`)).toThrow(),
);

const localhosts = [
  "localhost",
  "localhost.",
  "LOCALHOST",
  "LocalHost.",
  "a.localhost",
  "a.b.LocalHost.",
  "ⓛocalhost",
  "loc%61lhost",
];

test.each(localhosts)("%s is loopback without asking DNS (RFC 6761)", (host) => {
  expect(verdictOfUrl(host)).toBe("blocked");
});

test("a host is judged alike in capitals when it comes from elsewhere than a URL", () => {
  for (const host of ["LOCALHOST", "A.LocalHost."]) expect(guard.checkHost(host)).toBe("blocked");
  expect(guard.checkHost("Example.COM")).toBe("name");
});

test.each(localhosts)("%s is resolved once the operator opens either loopback", (host) => {
  for (const network of ["127.0.0.0/8", "127.0.0.1", "::1", "::/0", "::ffff:127.0.0.1"]) {
    expect(verdictOfUrl(host, opening(network))).toBe("name");
  }
  expect(verdictOfUrl(host, opening("10.0.0.0/8", "127.0.0.2", "fc00::/7"))).toBe("blocked");
});

test.each(
  words(`
    example.com EXAMPLE.com. intranet notlocalhost localhost.example.com bücher.example a_b.example 1e3
    1.2.3.4.example 10.0.0.1.nip.io hooks.0xzz x--y.example 0x7f.example
  `),
)("%s is a name for DNS to resolve", (host) => expect(verdictOfUrl(host)).toBe("name"));

test.each([
  ...words(`
    . .. a..b .example.com localhost.. 1.2.3.4.. 127.1 2130706433 0x7f000001 0x 0X7F. hooks.1 hooks.0x7f
    hooks.09. 1.2.3.4.5 08.8.8.8 8.8.8.08 256.1.1.1 １２７.0.0.1 [] [8.8.8.8] [::1 ::1] 2606:4700::1
    [2606:4700::1%eth0] [fe80::1%25lo] [2606:4700::1]:443 user@example.com example.com:443 example.com/
    exa%6dple.com bücher.example *.example.com
  `),
  "",
  "a b",
  "a\nb",
  "a\0",
  "example.com\n",
])("the host %j, which no parsed URL should have, is blocked", (host) =>
  expect(guard.checkHost(host)).toBe("blocked"),
);

test.each([
  ...words(`
    8.8.8 8.8.8.8. 8.8.8.8.8 8.8.8.08 8.8.8.0x8 08.8.8.8 8.8.8.256 8.8.8.-1 +8.8.8.8 8.8.8.1e1 8..8.8
    134744072 ８.8.8.8 8.8.8.8/32 8.8.8.8%eth0 8.8.8.8:443 example.com null [2606:4700::1]
    2606:4700::1%eth0 2606:4700::1% 2606:4700::1/128 2606:4700:::1 2606::4700::1 :2606:4700::1
    2606:4700::1: 2606:4700:0:0:0:0:0 2606:4700:0:0:0:0:0:0:1 2606:4700:0:0:0:0:0:1::
    ::2606:4700:0:0:0:0:0:1 2606:4700::00001 2606:4700::g 2606:4700::8.8.8 2606:4700::8.8.8.8.8
    2606:4700::08.8.8.8 2606:8.8.8.8::1 2606:4700:0:0:0:0:0:8.8.8.8 2606:4700 : ::: ::ffff:
    ::ffff:8.8.8.256 ::ffff:8.8.8.8%lo ::ffff:0x08.8.8.8 2606:4700::１
  `),
  "",
  " ",
  "8.8.8.8 ",
  " 8.8.8.8",
  "8.8.8.8\n",
])("the text %p is no address and is refused, even with everything opened", (text) => {
  expect(guard.isAllowedAddress(text)).toBe(false);
  expect(opening("0.0.0.0/0", "::/0").isAllowedAddress(text)).toBe(false);
});

test("a very long text is refused at once", () => {
  const started = performance.now();
  for (const piece of ["1:", ".", "[", "1.", "::", "a"]) {
    expect(guard.isAllowedAddress(piece.repeat(100_000))).toBe(false);
    expect(guard.checkHost(`[${piece.repeat(100_000)}`)).toBe("blocked");
  }
  expect(performance.now() - started).toBeLessThan(1000);
});

describe("networks that the operator opens", () => {
  test("are allowed whatever the tables say, and only they", () => {
    const opened = opening("10.1.0.0/16", "fd00:1::/32", "127.0.0.1", "2001:db8::5");
    for (const address of [
      "10.1.0.0",
      "10.1.255.255",
      "fd00:1::",
      `fd00:1:${ffff}`,
      "127.0.0.1",
      "2001:db8::5",
      "8.8.8.8",
    ]) {
      expect([address, opened.isAllowedAddress(address)]).toEqual([address, true]);
    }
    for (const address of [
      "10.0.255.255",
      "10.2.0.0",
      `fd00:0:${ffff}`,
      "fd00:2::",
      "127.0.0.2",
      "::1",
      "2001:db8::4",
      "2001:db8::6",
    ]) {
      expect([address, opened.isAllowedAddress(address)]).toEqual([address, false]);
    }
  });

  test("include the IPv4-mapped spelling of an opened IPv4 address", () => {
    expect(opening("10.0.0.0/8").isAllowedAddress("::ffff:10.0.0.1")).toBe(true);
    expect(opening("::ffff:10.0.0.0/104").isAllowedAddress("10.0.0.1")).toBe(true);
  });

  test("do not open IPv4 through an IPv6 network, nor the other way round", () => {
    expect(opening("::/0").isAllowedAddress("::ffff:10.0.0.1")).toBe(false);
    expect(opening("::/0").isAllowedAddress("10.0.0.1")).toBe(false);
    for (const address of [
      "::1",
      "::ff:10.0.0.1",
      "::ff00:10.0.0.1",
      "::1:ffff:10.0.0.1",
      "::ffff:0:a00:1",
    ]) {
      expect([address, opening("0.0.0.0/0").isAllowedAddress(address)]).toEqual([address, false]);
    }
  });

  test("do not open the same numbers behind a translator, which is another network", () => {
    for (const address of ["64:ff9b::10.0.0.1", "2002:a00:1::"]) {
      expect(opening("10.0.0.0/8").isAllowedAddress(address)).toBe(false);
    }
    expect(opening("64:ff9b::/96").isAllowedAddress("64:ff9b::10.0.0.1")).toBe(true);
  });

  test("apply to addresses in URLs", () => {
    expect(verdictOfUrl("10.1", opening("10.0.0.0/8"))).toBe("allowed");
    expect(verdictOfUrl("[::1]", opening("::1"))).toBe("allowed");
  });
});

describe("the machine's own addresses", () => {
  const own = () => ["8.8.4.4", "2606:4700::AA", "fe80::1%eth0", "garbage", "::ffff:9.9.9.9"];
  const atHome = createTargetGuard({ allowNetworks: [], ownAddresses: own });

  test.each([
    "8.8.4.4",
    "::ffff:8.8.4.4",
    "64:ff9b::8.8.4.4",
    "2002:808:404::7",
    "2606:4700:0:0:0:0:0:aa",
    "9.9.9.9",
  ])("are refused as %s", (address) => expect(atHome.isAllowedAddress(address)).toBe(false));

  test("are refused in URLs and leave their neighbours alone", () => {
    expect(verdictOfUrl("0x08080404", atHome)).toBe("blocked");
    for (const address of ["8.8.4.3", "8.8.4.5", "2606:4700::ab"])
      expect(atHome.isAllowedAddress(address)).toBe(true);
  });

  test("refuse no IPv6 address that only begins with the same bytes", () => {
    const other = createTargetGuard({ allowNetworks: [], ownAddresses: () => ["38.6.71.0"] });
    expect(other.isAllowedAddress("2606:4700::1")).toBe(true);
    expect(other.isAllowedAddress("38.6.71.0")).toBe(false);
  });

  test("are allowed when the operator opened them", () => {
    const opened = createTargetGuard({ allowNetworks: [parseCidr("8.8.4.4")], ownAddresses: own });
    expect(opened.isAllowedAddress("8.8.4.4")).toBe(true);
  });

  test("are asked for each time, and only about addresses that nothing else decides", () => {
    let calls = 0;
    const addresses: string[] = [];
    const counting = createTargetGuard({
      allowNetworks: [parseCidr("10.0.0.0/8")],
      ownAddresses: () => {
        calls += 1;
        return addresses;
      },
    });
    for (const address of ["127.0.0.1", "10.0.0.1", "fe80::1", "junk"]) counting.isAllowedAddress(address);
    expect(calls).toBe(0);
    expect(counting.isAllowedAddress("1.1.1.1")).toBe(true);
    addresses.push("1.1.1.1");
    expect(counting.isAllowedAddress("1.1.1.1")).toBe(false);
    expect(calls).toBe(2);
  });

  test("are never taken for none when they cannot be read", () => {
    const failing = createTargetGuard({
      allowNetworks: [],
      ownAddresses: () => {
        throw new Error("no netlink");
      },
    });
    expect(() => failing.isAllowedAddress("1.1.1.1")).toThrow("no netlink");
  });
});

describe("parseCidr", () => {
  test.each([
    ["10.0.0.0/8", [10, 0, 0, 0], 8],
    [" 192.168.1.0/24 ", [192, 168, 1, 0], 24],
    ["0.0.0.0/0", [0, 0, 0, 0], 0],
    ["10.0.0.5", [10, 0, 0, 5], 32],
    ["fd00::/8", [0xfd, ...Array<number>(15).fill(0)], 8],
    ["::1", [...Array<number>(15).fill(0), 1], 128],
    ["::ffff:10.0.0.0/104", [10, 0, 0, 0], 8],
    ["::ffff:0:0/96", [0, 0, 0, 0], 0],
    ["::ffff:10.0.0.1", [10, 0, 0, 1], 32],
  ])("reads %s", (text, network, prefix) => expect(parseCidr(text)).toEqual({ network, prefix }));

  test.each([
    ["10.0.0.5/8", "write 10.0.0.0/8 for the network or 10.0.0.5 for the one address"],
    ["2001:db8::1/32", "write 2001:db8::/32 for the network or 2001:db8::1 for the one address"],
    ["10.0.0.0/33", "write a number from 0 to 32 after the slash"],
    ["10.0.0.0/", "write a number from 0 to 32 after the slash"],
    ["10.0.0.0/08", "write a number from 0 to 32 after the slash"],
    ["10.0.0.0/-1", "write a number from 0 to 32 after the slash"],
    ["10.0.0.0/255.0.0.0", "write a number from 0 to 32 after the slash"],
    ["fd00::/129", "write a number from 0 to 128 after the slash"],
    ["::ffff:10.0.0.0/8", "write a number from 96 to 128 after the slash, or write the network as IPv4"],
    ["::ffff:10.0.0.1/104", "has address bits set beyond its prefix"],
    ["10/8", "write an address and a prefix length, such as 10.0.0.0/8 or fd00::/8"],
    ["10.0.0.0/8/8", "is not an IP network"],
    ["fe80::1%eth0/64", "is not an IP network"],
    ["localhost", "is not an IP network"],
    ["", "is not an IP network"],
  ])("refuses %j and says: %s", (text, message) => {
    expect(() => parseCidr(text)).toThrow(message);
    expect(() => parseCidr(text)).toThrow(JSON.stringify(text));
  });
});
