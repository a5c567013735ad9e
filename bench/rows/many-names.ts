import { lookup } from "node:dns/promises";
import type { Line, Row } from "../support/bench.ts";
import { makeCertificates, manyNames } from "../support/certificates.ts";
import { bareFetch, SECRET } from "../support/fetch-loop.ts";
import type { WebhookInput } from "../support/installation.ts";
import { formatRatio, type Measured, measurePairs } from "../support/pairs.ts";
import type { FetchTarget } from "../support/programs/fetch-loop.ts";
import { startReceiver } from "../support/receiver.ts";
import { wholeWay } from "../support/scenarios.ts";
import { skipped } from "../support/skipped.ts";
import { formatRate, median } from "../support/statistics.ts";

const HOSTS = 300;

export const manyNamesRow: Row = {
  name: "many-names",
  async run(bench): Promise<Line[]> {
    const tls = makeCertificates(bench.newDir());
    if (!tls) return [skipped(`${HOSTS} HTTPS hosts`, "openssl is missing")];
    const events = bench.size(100, 20);
    const named = await resolvesNames();
    const receiver = await startReceiver(bench, { ports: HOSTS, tls });
    const origins = receiver.ports.map((port, i) => ({ name: named ? manyNames(i) : "localhost", port }));
    const webhooks: WebhookInput[] = origins.map(({ name, port }) => ({
      url: `https://${name}:${port}/hook`,
    }));
    // With the checked address in the URL and the name beside it, as a guarded fetch has to be made.
    const targets: FetchTarget[] = origins.map(({ name, port }) => ({
      url: `https://127.0.0.1:${port}/hook`,
      serverName: name,
      secret: SECRET,
    }));
    const handshakes = { ours: [] as number[], limit: [] as number[] };
    const counting = async (side: "ours" | "limit", rate: Promise<Measured>): Promise<Measured> => {
      const result = await rate;
      handshakes[side].push((await receiver.report()).handshakes);
      return result;
    };
    const args = ["--ca-file", tls.caFile];
    const loop = bareFetch(bench, { receiver, targets, ca: tls.ca });
    const pairs = await measurePairs(
      bench.rounds,
      () => counting("ours", wholeWay(bench, { receiver, events, webhooks, args })),
      () => counting("limit", loop.rate(events * HOSTS)),
    );
    const [ours, limit] = [median(handshakes.ours), median(handshakes.limit)];
    return [
      {
        name: `${HOSTS} HTTPS hosts, ${events} events to each`,
        figure: formatRate(pairs.ours),
        limit: `bare fetch ${formatRate(pairs.limit)}`,
        ratio: formatRatio(pairs),
        goal: "",
        reached: null,
        note: `TLS handshakes ${ours}, of bare fetch ${limit}; hosts differ by ${named ? "name" : "port"}`,
        values: { ...pairs, handshakes: ours, limitHandshakes: limit },
      },
    ];
  },
};

/** Not every system resolves names under localhost; where it does not, the hosts differ by port alone. */
async function resolvesNames(): Promise<boolean> {
  try {
    return (await lookup(manyNames(0), { all: true })).every(({ address }) => address === "127.0.0.1");
  } catch {
    return false;
  }
}
