#!/usr/bin/env bun
import { run } from "./cli/program.ts";

process.exitCode = await run(process.argv.slice(2));
// The runtime would wait for idle connections and timers that have nothing left to do.
process.exit();
