import { useCallback, useEffect, useLayoutEffect, useMemo, useRef, useState } from "preact/hooks";
import { RateLimitError } from "../client/index.ts";

/** A value that is kept outside of the page's views, followed. `read` answers the same value while nothing changed. */
export function useSyncExternalStore<T>(subscribe: (onChange: () => void) => () => void, read: () => T): T {
  const [value, setValue] = useState(read);
  useLayoutEffect(() => {
    const follow = (): void => setValue(() => read());
    follow();
    return subscribe(follow);
    // Both are the same functions in meaning each time.
  }, []);
  return value;
}

/** What is asked of the API, once it is there: what came last is shown while it is asked for again. */
export interface Loaded<T> {
  value: T | undefined;
  error: Error | null;
  isLoading: boolean;
  /** Asks again; what is there stays. */
  reload: () => void;
  /** Changes what is there, without asking. */
  change: (change: (value: T) => T) => void;
}

interface Answer<T> extends Pick<Loaded<T>, "value" | "error" | "isLoading"> {
  question: object;
}

/** Asks when the view appears and when one of `keys` changes; an answer that is not awaited any more is dropped. */
export function useLoaded<T>(load: () => Promise<T>, keys: readonly unknown[]): Loaded<T> {
  // Stands for the keys: what was asked for with others is not shown for a moment longer.
  const question = useMemo(() => ({}), keys);
  const unanswered = { value: undefined, error: null, isLoading: true, question };
  const [kept, setState] = useState<Answer<T>>(unanswered);
  const state = kept.question === question ? kept : unanswered;
  const turn = useRef(0);
  const retry = useRef<ReturnType<typeof setTimeout> | undefined>(undefined);

  const ask = useCallback((keep: boolean): void => {
    clearTimeout(retry.current);
    turn.current += 1;
    const mine = turn.current;
    setState((before) => (keep ? { ...before, error: null, isLoading: true } : unanswered));
    load().then(
      (value) => {
        if (mine === turn.current) setState({ value, error: null, isLoading: false, question });
      },
      (error) => {
        if (mine !== turn.current) return;
        setState((before) => ({ ...before, error: asError(error), isLoading: false }));
        if (error instanceof RateLimitError)
          retry.current = setTimeout(() => ask(true), error.retryAfter * 1_000);
      },
    );
  }, keys);

  useEffect(() => {
    ask(false);
    return () => {
      clearTimeout(retry.current);
      turn.current += 1;
    };
  }, keys);

  const reload = useCallback(() => ask(true), [ask]);
  const change = useCallback(
    (how: (value: T) => T) =>
      setState((before) => (before.value === undefined ? before : { ...before, value: how(before.value) })),
    [],
  );
  const { value, error, isLoading } = state;
  return { value, error, isLoading, reload, change };
}

/** Runs soon after it is called, and not again before a time is over; calls meanwhile come to one more run. */
export function useThrottled(run: () => void, everyMs: number): () => void {
  const latest = useRef(run);
  latest.current = run;
  const timer = useRef<ReturnType<typeof setTimeout> | undefined>(undefined);
  const ran = useRef(0);
  useEffect(() => () => clearTimeout(timer.current), []);
  return useCallback(() => {
    if (timer.current !== undefined) return;
    const wait = Math.max(SOON_MS, ran.current + everyMs - Date.now());
    timer.current = setTimeout(() => {
      timer.current = undefined;
      ran.current = Date.now();
      latest.current();
    }, wait);
  }, [everyMs]);
}

/** What belongs together comes within this. */
const SOON_MS = 400;

/** Something that a button does: whether it is under way, and what became of it. */
export interface Action<Input extends unknown[], Output> {
  run: (...input: Input) => Promise<void>;
  isRunning: boolean;
  error: Error | null;
  result: Output | undefined;
  clear: () => void;
}

export function useAction<Input extends unknown[], Output>(
  act: (...input: Input) => Promise<Output>,
): Action<Input, Output> {
  const [isRunning, setRunning] = useState(false);
  const [error, setError] = useState<Error | null>(null);
  const [result, setResult] = useState<Output>();
  const run = async (...input: Input): Promise<void> => {
    if (isRunning) return;
    setRunning(true);
    setError(null);
    try {
      const output = await act(...input);
      setResult(() => output);
    } catch (thrown) {
      setError(asError(thrown));
      setResult(undefined);
    } finally {
      setRunning(false);
    }
  };
  const clear = (): void => {
    setError(null);
    setResult(undefined);
  };
  return { run, isRunning, error, result, clear };
}

function asError(thrown: unknown): Error {
  return thrown instanceof Error ? thrown : new Error(String(thrown));
}

const TICK_MS = 1_000;
const tickers = new Set<() => void>();
let ticking: ReturnType<typeof setInterval> | undefined;

/** The time, followed in seconds by one timer for the whole page. */
export function useNow(): number {
  const [now, setNow] = useState(Date.now);
  useEffect(() => {
    const tick = (): void => setNow(Date.now());
    tickers.add(tick);
    ticking ??= setInterval(() => {
      for (const each of tickers) each();
    }, TICK_MS);
    return () => {
      tickers.delete(tick);
      if (tickers.size > 0) return;
      clearInterval(ticking);
      ticking = undefined;
    };
  }, []);
  return now;
}
