import { afterEach, beforeEach, describe, expect, test } from "bun:test";
import { chownSync, lstatSync, mkdirSync, statSync, symlinkSync, writeFileSync } from "node:fs";
import { createServer, type Server } from "node:net";
import { join } from "node:path";
import { placeSocket } from "../../src/ingest/socket-file.ts";
import { newDir, removeDir } from "../support/daemon.ts";

const NOBODY = 65_534;

let dir: string;
let server: Server;

beforeEach(() => {
  dir = newDir();
  server = createServer();
});
afterEach(() => {
  server.close();
  removeDir(dir);
});

test.each(["600", "660", "666"])("a socket has its mode, 0%s, from the beginning", (octal) => {
  const mode = Number.parseInt(octal, 8);
  const path = join(dir, "events.sock");
  let first = 0;
  const remove = placeSocket(path, mode, (temporary) => {
    server.listen(temporary);
    first = lstatSync(temporary).mode;
  });
  expect([first & 0o7777, lstatSync(path).mode & 0o7777]).toEqual([mode, mode]);
  remove();
  expect(lstatSync(path, { throwIfNoEntry: false })).toBeUndefined();
});

/** Root is who can make what somebody else is to use. */
describe.if(process.getuid?.() === 0)("what root makes in somebody else's directory", () => {
  test("is that user's", () => {
    chownSync(dir, NOBODY, NOBODY);
    placeSocket(join(dir, "events.sock"), 0o660, (temporary) => server.listen(temporary));
    expect(lstatSync(join(dir, "events.sock"))).toMatchObject({ uid: NOBODY, gid: NOBODY });
  });

  test("is not what a link leads to, which that user has put in its place", () => {
    const precious = join(dir, "precious");
    const theirs = join(dir, "theirs");
    writeFileSync(precious, "", { mode: 0o600 });
    mkdirSync(theirs);
    chownSync(theirs, NOBODY, NOBODY);
    placeSocket(join(theirs, "events.sock"), 0o660, (temporary) => symlinkSync(precious, temporary));
    const { uid, mode } = statSync(precious);
    expect([uid, mode & 0o777]).toEqual([0, 0o600]);
  });
});
