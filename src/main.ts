#!/usr/bin/env bun
import { growModestly } from "./heap-growth.ts";

if (process.argv[2] === "serve") growModestly();
const { run } = await import("./cli/program.ts");
process.exitCode = await run(process.argv.slice(2));
// The runtime would wait for idle connections and timers that have nothing left to do.
process.exit();
