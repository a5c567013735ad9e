import { createSocket } from "node:dgram";
import { Resolver } from "node:dns/promises";
import { isIPv6 } from "node:net";
import type { Lookup } from "../../src/delivery/resolver.ts";

/** What a name has: addresses, none (NXDOMAIN), or no answer at all. */
export type DnsAnswer = readonly string[] | "nxdomain" | "silence";

export interface DnsServer {
  /** Every question so far, as `A name` or `AAAA name`. */
  questions: string[];
  /** Asks this server over UDP for the addresses of a name, both families. */
  resolve: Lookup;
  stop(): void;
}

const TYPES: Readonly<Record<number, "A" | "AAAA">> = { 1: "A", 28: "AAAA" };

/** A real name server on loopback; `answer` is asked once per question and may change its mind. Port 53 is for root only. */
export async function startDnsServer(
  answer: (name: string, type: "A" | "AAAA") => DnsAnswer,
  { address = "127.0.0.1", port = 0 } = {},
): Promise<DnsServer> {
  const questions: string[] = [];
  const socket = createSocket("udp4");
  socket.on("message", (query, from) => {
    const { name, type, end } = readQuestion(query);
    if (!type) return;
    questions.push(`${type} ${name}`);
    const answered = answer(name, type);
    if (answered === "silence") return;
    socket.send(writeAnswer(query.subarray(0, end), type, answered), from.port, from.address);
  });
  await new Promise<void>((resolve) => socket.bind(port, address, () => resolve()));
  const resolver = new Resolver({ timeout: 500, tries: 1 });
  resolver.setServers([`${address}:${socket.address().port}`]);
  return {
    questions,
    resolve: (name) => bothFamilies(resolver, name),
    stop() {
      resolver.cancel();
      socket.close();
    },
  };
}

async function bothFamilies(resolver: Resolver, name: string): Promise<string[]> {
  const answers = await Promise.allSettled([resolver.resolve4(name), resolver.resolve6(name)]);
  const addresses = answers.flatMap((answer) => (answer.status === "fulfilled" ? answer.value : []));
  if (addresses.length === 0) throw new Error(`${name} has no address`);
  return addresses;
}

interface Question {
  name: string;
  type: "A" | "AAAA" | undefined;
  end: number;
}

/** The one question behind the 12 bytes of the header (RFC 1035, 4.1). */
function readQuestion(query: Buffer): Question {
  const labels: string[] = [];
  let at = 12;
  for (let length = query[at] ?? 0; length > 0; length = query[at] ?? 0) {
    labels.push(query.toString("latin1", at + 1, at + 1 + length));
    at += 1 + length;
  }
  return { name: labels.join(".").toLowerCase(), type: TYPES[query.readUInt16BE(at + 1)], end: at + 5 };
}

function writeAnswer(question: Buffer, type: "A" | "AAAA", answered: readonly string[] | "nxdomain"): Buffer {
  const addresses =
    answered === "nxdomain" ? [] : answered.filter((one) => isIPv6(one) === (type === "AAAA"));
  const head = Buffer.from(question);
  head.writeUInt16BE(answered === "nxdomain" ? 0x8583 : 0x8580, 2);
  head.writeUInt16BE(1, 4);
  head.writeUInt16BE(addresses.length, 6);
  head.writeUInt32BE(0, 8);
  return Buffer.concat([head, ...addresses.map((address) => writeRecord(type, address))]);
}

/** A record for the name of the question, with a time to live of 0. */
function writeRecord(type: "A" | "AAAA", address: string): Buffer {
  const data = type === "A" ? Buffer.from(address.split(".").map(Number)) : ipv6Bytes(address);
  const record = Buffer.alloc(12);
  record.writeUInt16BE(0xc00c, 0);
  record.writeUInt16BE(type === "A" ? 1 : 28, 2);
  record.writeUInt16BE(1, 4);
  record.writeUInt16BE(data.length, 10);
  return Buffer.concat([record, data]);
}

function ipv6Bytes(address: string): Buffer {
  const canonical = new URL(`http://[${address}]`).hostname.slice(1, -1);
  const [head = "", tail = ""] = canonical.split("::");
  const groups = (text: string) =>
    text === "" ? [] : text.split(":").map((group) => Number.parseInt(group, 16));
  const missing = 8 - groups(head).length - groups(tail).length;
  const all = [
    ...groups(head),
    ...Array<number>(canonical.includes("::") ? missing : 0).fill(0),
    ...groups(tail),
  ];
  return Buffer.from(all.flatMap((group) => [group >> 8, group & 0xff]));
}
