import type { Line, Row } from "../support/bench.ts";
import { makeCertificates } from "../support/certificates.ts";
import { bareFetch, SECRET } from "../support/fetch-loop.ts";
import { formatRatio, measurePairs } from "../support/pairs.ts";
import { startReceiver } from "../support/receiver.ts";
import { drain, webhooksAt } from "../support/scenarios.ts";
import { skipped } from "../support/skipped.ts";
import { formatRate, median } from "../support/statistics.ts";

const GOAL = 0.65;

export const drainHttpsRow: Row = {
  name: "drain-https",
  async run(bench): Promise<Line[]> {
    const events = bench.size(50_000, 5_000);
    const name = `drain of ${events.toLocaleString("en")} over HTTPS, private CA`;
    const tls = makeCertificates(bench.newDir());
    if (!tls) return [skipped(name, "openssl is missing")];
    const receiver = await startReceiver(bench, { tls });
    const webhooks = webhooksAt(receiver, "https://localhost");
    const targets = [{ url: webhooks[0]?.url ?? "", secret: SECRET }];
    const loop = bareFetch(bench, { receiver, targets, ca: tls.ca });
    const args = ["--ca-file", tls.caFile];
    const started: number[] = [];
    const handshakes: number[] = [];
    const ours = async () => {
      const result = await drain(bench, { receiver, events, webhooks, args });
      started.push(result.rateWithoutStart);
      handshakes.push(result.report.handshakes);
      return result;
    };
    const pairs = await measurePairs(bench.rounds, ours, () => loop.rate(events));
    const withoutStart = median(started);
    return [
      {
        name,
        figure: formatRate(pairs.ours),
        limit: `bare fetch ${formatRate(pairs.limit)}`,
        ratio: formatRatio(pairs),
        goal: `≥ ${GOAL}`,
        reached: pairs.ratio >= GOAL,
        note: `from the first request on ${formatRate(withoutStart)}; ${median(handshakes)} TLS handshakes`,
        values: { ...pairs, withoutStart, handshakes: median(handshakes) },
      },
    ];
  },
};
