import { describe, expect, test } from "bun:test";
import fc from "fast-check";
import {
  createResponseParser,
  MAX_BODY_BYTES,
  MAX_HEADER_BYTES,
  type ParsedResponse,
} from "../../src/delivery/http/response-parser.ts";

interface Parsed {
  state: string;
  response: ParsedResponse;
}

/** Feeds the pieces as a socket would: its memory is used again after each call. */
function parsePieces(pieces: readonly Buffer[], closed = false): Parsed {
  const parser = createResponseParser();
  let state = "more";
  for (const piece of pieces) {
    if (state !== "more") break;
    const chunk = Buffer.from(piece);
    state = parser.push(chunk);
    chunk.fill(0x58);
  }
  if (closed && state === "more") state = parser.end();
  return { state, response: parser.response };
}

const parse = (text: string, closed = false) => parsePieces([Buffer.from(text, "latin1")], closed);

function bodyOf({ response }: Parsed): string | undefined {
  return response.body?.toString("latin1");
}

describe("a response is complete", () => {
  test("with its stated length, and the connection may be used again", () => {
    const parsed = parse("HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello");
    expect(parsed.state).toBe("done");
    expect(parsed.response).toMatchObject({ status: 200, reusable: true, retryAfter: null });
    expect(bodyOf(parsed)).toBe("hello");
  });

  test("at the last chunk, with extensions and trailers", () => {
    const parsed = parse(
      "HTTP/1.1 201 x\r\nTransfer-Encoding: Chunked\r\n\r\n3;a=b\r\nabc\r\n2\r\nde\r\n0\r\nx-t: 1\r\n\r\n",
    );
    expect(parsed).toMatchObject({ state: "done", response: { status: 201, reusable: true } });
    expect(bodyOf(parsed)).toBe("abcde");
  });

  test("at the end of the connection when it states no length", () => {
    const parsed = parse("HTTP/1.1 200 OK\r\n\r\nall of it", true);
    expect(parsed).toMatchObject({ state: "done", response: { status: 200, reusable: false } });
    expect(bodyOf(parsed)).toBe("all of it");
  });

  test.each([204, 304])("without a body for %d, whatever length it states", (status) => {
    const parsed = parse(`HTTP/1.1 ${status} x\r\nContent-Length: 7\r\n\r\n`);
    expect(parsed).toMatchObject({ state: "done", response: { status, reusable: true, body: null } });
  });

  test("behind interim responses", () => {
    const parsed = parse(
      `${"HTTP/1.1 103 Early\r\nlink: <x>\r\n\r\n".repeat(8)}HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n`,
    );
    expect(parsed).toMatchObject({ state: "done", response: { status: 200, reusable: true } });
  });

  test.each(["\n", "\r\n"])("with lines that end in %j, mixed with the other kind", (end) => {
    expect(parse(`HTTP/1.1 200 OK\nContent-Length: 2\r\nx: y${end}${end}ok`).state).toBe("done");
    expect(parse(`HTTP/1.1 200 OK${end}content-length: 2\n\r\nok`).state).toBe("done");
  });

  test("with a folded field, which is one field", () => {
    const parsed = parse(
      "HTTP/1.1 503 x\r\ncontent-length: 0\r\nretry-after:\r\n  120\r\nx: a\r\n\tb\r\n\r\n",
    );
    expect(parsed).toMatchObject({ state: "done", response: { retryAfter: "120" } });
  });

  test("when it is longer than what is kept, and the connection is not used again", () => {
    const body = "x".repeat(MAX_BODY_BYTES + 1);
    const parsed = parse(`HTTP/1.1 200 OK\r\ncontent-length: 10000000000\r\n\r\n${body}`);
    expect(parsed).toMatchObject({ state: "done", response: { status: 200, reusable: false } });
    expect(parsed.response.body?.length).toBe(MAX_BODY_BYTES);
  });
});

describe("a connection is not used again", () => {
  test.each([
    ["after bytes behind the response", "HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nokHTTP/1.1 200 OK"],
    ["when the receiver says close", "HTTP/1.1 200 OK\r\nconnection: Close\r\ncontent-length: 2\r\n\r\nok"],
    ["with HTTP/1.0", "HTTP/1.0 200 OK\r\ncontent-length: 2\r\n\r\nok"],
    [
      "with chunks in HTTP/1.0, which has none",
      "HTTP/1.0 200 OK\r\nconnection: keep-alive\r\ntransfer-encoding: chunked\r\n\r\n2\r\nok\r\n0\r\n\r\n",
    ],
  ])("%s", (_why, text) => {
    expect(parse(text)).toMatchObject({ state: "done", response: { status: 200, reusable: false } });
  });

  test("unless HTTP/1.0 says keep-alive", () => {
    const text = "HTTP/1.0 200 OK\r\nconnection: Keep-Alive\r\nkeep-alive: max=9, timeout=7\r\n";
    expect(parse(`${text}content-length: 0\r\n\r\n`).response).toMatchObject({
      reusable: true,
      keepAliveMs: 7_000,
    });
  });
});

describe("what is no HTTP response is invalid", () => {
  test.each([
    "SSH-2.0-OpenSSH_9.2\r\n\r\n",
    "HTTP/2 200\r\n\r\n",
    "HTTP/1.1 99 x\r\n\r\n",
    "HTTP/1.1 2000 x\r\n\r\n",
    "HTTP/1.1 200OK\r\n\r\n",
    " HTTP/1.1 200 OK\r\n\r\n",
    "\r\nHTTP/1.1 200 OK\r\n\r\n",
    "HTTP/1.1 101 Switching\r\nupgrade: x\r\n\r\n",
    "HTTP/1.1 200 OK\r\nno colon\r\n\r\n",
    "HTTP/1.1 200 OK\r\n: no name\r\n\r\n",
    "HTTP/1.1 200 OK\r\n fold: of nothing\r\n\r\n",
    "HTTP/1.1 200 OK\r\nContent-Length : 5\r\n\r\n",
  ])("%j", (text) => {
    expect(parse(text).state).toBe("invalid");
  });

  test.each(["HTTP/1.1 200 O", "HTTP/1.1 200 OK\r\ncontent-length: 5\r\n", "HTTP/1.1 103 Early\r\n\r\n"])(
    "when the connection ends inside of %j",
    (text) => {
      expect(parse(text).state).toBe("more");
      expect(parse(text, true).state).toBe("invalid");
    },
  );
});

describe("the status counts once the head was read, and the connection is given up", () => {
  const fixed = (fields: string, body: string) => `HTTP/1.1 200 OK\r\n${fields}\r\n\r\n${body}`;
  const chunked = (body: string) => fixed("transfer-encoding: chunked", body);
  test.each([
    ["a negative length", fixed("content-length: -1", "ok"), "ok"],
    ["a length with a sign", fixed("content-length: +1", "ok"), "ok"],
    ["a length in hex", fixed("content-length: 0x1", "ok"), "ok"],
    ["an empty length", fixed("content-length:", "ok"), "ok"],
    ["two lengths in a line", fixed("content-length: 1, 2", "ok"), "ok"],
    ["two lengths", fixed("content-length: 1\r\ncontent-length: 2", "ok"), "ok"],
    ["a length past all measure", fixed("content-length: 9999999999999999", "ok"), "ok"],
    ["another coding", fixed("transfer-encoding: identity", "ok"), "ok"],
    ["no body of the stated length", fixed("content-length: 5", ""), undefined],
    ["less than the stated length", fixed("content-length: 5", "hell"), "hell"],
    ["an end inside of a chunk", chunked("5\r\nhel"), "hel"],
    ["an end before the last chunk", chunked("5\r\nhello\r\n"), "hello"],
    ["an end before the trailers' end", chunked("5\r\nhello\r\n0\r\n"), "hello"],
  ])("with %s, then an end", (_what, text, body) => {
    const parsed = parse(text, true);
    expect(parsed).toMatchObject({ state: "done", response: { status: 200, reusable: false } });
    expect(bodyOf(parsed)).toBe(body);
  });

  const both = "content-length: 1\r\ntransfer-encoding: chunked";
  test.each([
    ["chunks and a length", fixed(both, "5\r\nhello\r\n0\r\n\r\n"), "hello"],
    [
      "two lines that say chunked",
      fixed("transfer-encoding: chunked\r\ntransfer-encoding: chunked", "5\r\nhello\r\n0\r\n\r\n"),
      "hello",
    ],
    [
      "chunks of another coding",
      fixed("transfer-encoding: gzip, chunked", "5\r\nhello\r\n0\r\n\r\n"),
      "hello",
    ],
    ["a chunk size that is none", chunked("zz\r\n"), undefined],
    ["a negative chunk size", chunked("2\r\nok\r\n-1\r\n"), "ok"],
    ["a chunk size past all measure", chunked("1ffffffff\r\n"), undefined],
    ["a chunk longer than its size", chunked("1\r\nab\r\n"), "a"],
  ])("with %s, at once", (_what, text, body) => {
    const parsed = parse(text);
    expect(parsed).toMatchObject({ state: "done", response: { status: 200, reusable: false } });
    expect(bodyOf(parsed)).toBe(body);
  });
});

/** Feeds a stream without end; answers how it ended and after how many bytes. */
function feedForever(start: string, unit: string): { state: string; bytes: number } {
  const parser = createResponseParser();
  const piece = Buffer.from(unit.repeat(Math.ceil(4096 / unit.length)), "latin1");
  let state: string = parser.push(Buffer.from(start, "latin1"));
  let bytes = start.length;
  while (state === "more" && bytes < 64 * 1024 * 1024) {
    state = parser.push(piece);
    bytes += piece.length;
  }
  return { state, bytes };
}

describe("what has no end is given up", () => {
  const chunked = "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n";
  const KIB = 1024;
  test.each([
    ["a header line", "HTTP/1.1 200 OK\r\nx: ", "y", "invalid", 69 * KIB],
    ["header lines", "HTTP/1.1 200 OK\r\n", "x: y\r\n", "invalid", 69 * KIB],
    ["a status line", "HTTP/1.1 200 ", "O", "invalid", 69 * KIB],
    ["interim responses", "", "HTTP/1.1 100 Continue\r\n\r\n", "invalid", 5 * KIB],
    ["a chunk extension", `${chunked}1;`, "x", "done", 6 * KIB],
    ["trailers", `${chunked}0\r\n`, "x: y\r\n", "done", 64 * KIB],
    ["a body", "HTTP/1.1 200 OK\r\n\r\n", "x", "done", 21 * KIB],
    ["one chunk", `${chunked}ffffffff\r\n`, "x", "done", 21 * KIB],
    ["chunks of a byte", chunked, "1\r\nx\r\n", "done", 120 * KIB],
  ])("%s", (_what, start, unit, state, most) => {
    const ended = feedForever(start, unit);
    expect(ended.state).toBe(state);
    expect(ended.bytes).toBeLessThan(most);
  });
});

test("the longest head that is taken is taken in one piece or in many, and one byte more is not", () => {
  const head = (bytes: number) => `${"HTTP/1.1 204 x\r\nx: ".padEnd(bytes, "y")}\r\n\r\n`;
  for (const [bytes, state] of [
    [MAX_HEADER_BYTES, "done"],
    [MAX_HEADER_BYTES + 1, "invalid"],
  ] as const) {
    const whole = Buffer.from(head(bytes));
    expect(parsePieces([whole]).state).toBe(state);
    const bytewise = [
      whole.subarray(0, bytes - 2),
      ...Array.from(whole.subarray(bytes - 2), (b) => Buffer.of(b)),
    ];
    expect(parsePieces(bytewise).state).toBe(state);
  }
});

test("a long head that comes a byte at a time is read without being copied for each", () => {
  const parser = createResponseParser();
  const head = Buffer.from(`${"HTTP/1.1 204 x\r\nx: ".padEnd(MAX_HEADER_BYTES, "y")}\r\n\r\n`);
  const pieces = Array.from(head, (byte) => Buffer.of(byte));
  const before = process.cpuUsage();
  const states = pieces.map((piece) => parser.push(piece));
  expect(states.at(-1)).toBe("done");
  expect(process.cpuUsage(before).user / 1_000).toBeLessThan(250);
});

test("a parser forgets one response before the next", () => {
  const parser = createResponseParser();
  parser.push(Buffer.from("HTTP/1.1 429 x\r\nretry-after: 9\r\ncontent-length: 3\r\n\r\nno!"));
  const first = parser.response;
  parser.reset();
  expect(parser.started).toBe(false);
  expect(parser.push(Buffer.from("HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n"))).toBe("done");
  expect(parser.response).toEqual({
    status: 200,
    retryAfter: null,
    resetAfter: null,
    body: null,
    reusable: true,
    keepAliveMs: null,
    via: false,
  });
  expect(first).toMatchObject({ status: 429, retryAfter: "9", body: Buffer.from("no!") });
});

const field = fc
  .tuple(fc.stringMatching(/^[A-Za-z][A-Za-z0-9-]{0,12}$/), fc.stringMatching(/^[!-~]{0,20}$/))
  .filter(
    ([name]) =>
      !/^(connection|content-length|keep-alive|retry-after|transfer-encoding|x-ratelimit-reset-after)$/i.test(
        name,
      ),
  )
  .map(([name, value]) => `${name}: ${value}\r\n`);

const chunkOf = (body: string, size: number): string => {
  let text = "";
  for (let at = 0; at < body.length; at += size) {
    const part = body.slice(at, at + size);
    text += `${part.length.toString(16)};n=${at}\r\n${part}\r\n`;
  }
  return `${text}0\r\n\r\n`;
};

const response = fc
  .record({
    status: fc.integer({ min: 200, max: 599 }).filter((status) => status !== 204 && status !== 304),
    fields: fc.array(field, { maxLength: 6 }),
    body: fc.string({ unit: "binary-ascii", maxLength: 3_000, size: "max" }),
    framing: fc.constantFrom("fixed", "chunked", "until-close"),
    size: fc.integer({ min: 1, max: 700 }),
    interim: fc.integer({ min: 0, max: 3 }),
    extra: fc.constantFrom("", "\r\n", "junk"),
  })
  .map(({ status, fields, body, framing, size, interim, extra }) => {
    const coding = { fixed: `content-length: ${body.length}\r\n`, chunked: "transfer-encoding: chunked\r\n" };
    const head = `HTTP/1.1 ${status} Reason\r\n${fields.join("")}`;
    const text = {
      fixed: `${head}${coding.fixed}\r\n${body}${extra}`,
      chunked: `${head}${coding.chunked}\r\n${chunkOf(body, size)}${extra}`,
      "until-close": `${head}\r\n${body}`,
    }[framing as "fixed"];
    return { status, body, text: "HTTP/1.1 103 Early Hints\r\nlink: x\r\n\r\n".repeat(interim) + text };
  });

function cut(bytes: Buffer, places: readonly number[]): Buffer[] {
  const at = [...new Set(places.map((place) => place % (bytes.length + 1)))].sort((a, b) => a - b);
  return [...at, bytes.length]
    .map((end, i) => bytes.subarray(at[i - 1] ?? 0, end))
    .filter((p) => p.length > 0);
}

test("a valid response comes out the same however it is cut into pieces", () => {
  const places = fc.array(fc.nat({ max: 10_000 }), { maxLength: 40 });
  fc.assert(
    fc.property(response, places, ({ status, body, text }, where) => {
      const bytes = Buffer.from(text, "latin1");
      const pieces = parsePieces(cut(bytes, where), true);
      expect(pieces.state).toBe("done");
      expect(pieces.response.status).toBe(status);
      expect(pieces.response.body?.toString("latin1") ?? "").toBe(body);
      // Whether bytes follow the response shows only when they have arrived.
      const { reusable, ...rest } = parsePieces([bytes], true).response;
      expect(pieces.response).toMatchObject(rest);
      if (reusable) expect(pieces.response.reusable).toBe(true);
    }),
    { numRuns: 300 },
  );
});

test("a valid response comes out the same a byte at a time", () => {
  fc.assert(
    fc.property(response, ({ status, body, text }) => {
      const parsed = parsePieces(
        Array.from(Buffer.from(text, "latin1"), (byte) => Buffer.of(byte)),
        true,
      );
      expect(parsed).toMatchObject({ state: "done", response: { status } });
      expect(bodyOf(parsed) ?? "").toBe(body);
    }),
    { numRuns: 50 },
  );
});

test("arbitrary bytes never throw, and what is kept of them is bounded", () => {
  const opening = fc.constantFrom(
    "",
    "HTTP/1.1 ",
    "HTTP/1.1 200 OK\r\n",
    "HTTP/1.1 200 OK\r\ncontent-length: 99\r\n\r\n",
    "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n",
    "HTTP/1.1 200 OK\r\n\r\n",
  );
  const token = fc.constantFrom(
    "\r\n",
    "\n",
    "\r\n\r\n",
    ":",
    "0\r\n",
    "5\r\n",
    "HTTP/1.1 100 x\r\n\r\n",
    "\0",
    "\x1b[2J",
  );
  const noise = fc.oneof(
    fc.uint8Array({ maxLength: 200 }).map((bytes) => Buffer.from(bytes)),
    token.map((text) => Buffer.from(text)),
  );
  fc.assert(
    fc.property(opening, fc.array(noise, { maxLength: 30 }), fc.boolean(), (start, pieces, closed) => {
      const { state, response: kept } = parsePieces([Buffer.from(start), ...pieces], closed);
      expect(["more", "done", "invalid"]).toContain(state);
      expect(kept.body?.length ?? 0).toBeLessThanOrEqual(MAX_BODY_BYTES);
      if (state === "done") expect(kept.status).toBeGreaterThanOrEqual(200);
    }),
    { numRuns: 2_000 },
  );
});

test("the same bytes again are the same response, whatever was made of the first, in one piece or in two", () => {
  const bytes = Buffer.from("HTTP/1.1 503 no\r\nretry-after: 7\r\ncontent-length: 4\r\n\r\nbusy");
  const parser = createResponseParser();
  const read = (...pieces: Buffer[]) => {
    parser.reset();
    const states = pieces.map((piece) => parser.push(Buffer.from(piece)));
    return { state: states.at(-1), ...parser.response, body: parser.response.body?.toString() };
  };
  const expected = { state: "done", status: 503, retryAfter: "7", body: "busy", reusable: true };
  expect(read(bytes)).toMatchObject(expected);
  parser.response.reusable = false;
  expect(read(bytes)).toMatchObject(expected);
  expect(read(bytes.subarray(0, 30), bytes.subarray(30))).toMatchObject(expected);
  expect(read(bytes.subarray(0, -1)).state).toBe("more");
  expect(read(Buffer.concat([bytes, Buffer.from("HTTP")]))).toMatchObject({ ...expected, reusable: false });
  expect(read(Buffer.from("HTTP/1.1 100 wait\r\n\r\n"), bytes)).toMatchObject(expected);
  expect(read(bytes)).toMatchObject(expected);
});
