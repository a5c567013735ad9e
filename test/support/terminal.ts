import { atEnd } from "./e2e.ts";

/** Runs a command with a terminal as its output, and copies what it writes. */
const WITH_TERMINAL = "import pty, sys; sys.exit(pty.spawn(sys.argv[1:]) >> 8)";

export interface Started {
  /** What it has written so far. */
  output(): string;
  kill(): void;
  exited: Promise<unknown>;
}

/** Starts a command that writes to a terminal, or to a pipe; it goes with the test. */
export function start(
  command: readonly string[],
  options: { cwd: string; env?: Record<string, string>; terminal: boolean },
): Started {
  const child = Bun.spawn(options.terminal ? ["python3", "-c", WITH_TERMINAL, ...command] : [...command], {
    cwd: options.cwd,
    ...(options.env && { env: options.env }),
    // A terminal whose other side is closed would end what runs on it.
    stdin: "pipe",
    stdout: "pipe",
    stderr: "inherit",
  });
  let text = "";
  const decoder = new TextDecoder();
  const reading = (async () => {
    for await (const part of child.stdout) text += decoder.decode(part, { stream: true });
  })();
  const kill = (): void => child.kill("SIGKILL");
  atEnd(kill);
  return { output: () => text, kill, exited: Promise.all([reading, child.exited]) };
}
