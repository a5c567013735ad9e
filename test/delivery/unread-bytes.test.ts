import { expect, test } from "bun:test";
import fc from "fast-check";
import { createUnreadBytes } from "../../src/delivery/http/unread-bytes.ts";

test("what is not read yet comes again with what follows, however it is cut, as it was", () => {
  const piece = fc.record({ bytes: fc.nat(3_000), read: fc.nat(6_000) });
  fc.assert(
    fc.property(fc.array(piece, { maxLength: 20 }), (pieces) => {
      const unread = createUnreadBytes();
      let next = 0;
      let waiting = Buffer.alloc(0);
      for (const { bytes, read } of pieces) {
        const chunk = Buffer.from(Array.from({ length: bytes }, () => next++ % 251));
        waiting = Buffer.concat([waiting, chunk]);
        const joined = unread.join(chunk);
        expect(joined.equals(waiting)).toBe(true);
        // Some bytes are read from the front; the rest waits.
        waiting = waiting.subarray(read);
        unread.keep(joined.subarray(read));
        // The chunk belongs to the socket, which writes over it.
        chunk.fill(255);
      }
    }),
  );
});
