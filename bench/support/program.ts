import { join } from "node:path";

/** The functions that a program offers to the one that started it. */
export type Methods = Record<string, (input: never) => unknown>;

interface Call {
  id: number;
  method: string;
  input: unknown;
}

interface Answer {
  id: number;
  result?: unknown;
  error?: string;
}

/** A helper process: load that is measured must not share a thread with what measures it. */
export interface Program<M extends Methods> {
  readonly pid: number;
  call<Name extends keyof M & string>(
    method: Name,
    ...input: Parameters<M[Name]>
  ): Promise<Awaited<ReturnType<M[Name]>>>;
  stop(): Promise<void>;
}

/** Called by the program itself: answers calls until its parent goes. */
export function offer(methods: Methods): void {
  process.on("message", async ({ id, method, input }: Call) => {
    const answer: Answer = { id };
    try {
      answer.result = await methods[method]?.(input as never);
    } catch (error) {
      answer.error = error instanceof Error ? (error.stack ?? error.message) : String(error);
    }
    process.send?.(answer);
  });
  process.on("disconnect", () => process.exit(0));
}

/** Starts `programs/<name>.ts` in a process of its own. */
export function startProgram<M extends Methods>(name: string): Program<M> {
  const waiting = new Map<number, { resolve(result: unknown): void; reject(error: Error): void }>();
  let calls = 0;
  const child = Bun.spawn([process.execPath, join(import.meta.dir, "programs", `${name}.ts`)], {
    stdin: "ignore",
    stdout: 2,
    stderr: "inherit",
    ipc({ id, result, error }: Answer) {
      const call = waiting.get(id);
      waiting.delete(id);
      if (error === undefined) call?.resolve(result);
      else call?.reject(new Error(`${name}: ${error}`));
    },
    onExit(_child, code, signal) {
      for (const { reject } of waiting.values()) reject(new Error(`${name} ended with ${signal ?? code}`));
    },
  });
  return {
    pid: child.pid,
    call: (method, ...[input]) =>
      new Promise((resolve, reject) => {
        calls += 1;
        waiting.set(calls, { resolve: resolve as (result: unknown) => void, reject });
        child.send({ id: calls, method, input } satisfies Call);
      }),
    async stop() {
      child.kill();
      await child.exited;
    },
  };
}
