import type { Connection, ConnectionFailure } from "./connection.ts";

/** Tells a dial how one of its connections fares. */
export interface DialProgress {
  /** Somebody is there; TLS may take a while yet. */
  onReached: () => void;
  /** Null when it is up, otherwise why it never will be. */
  onUp: (failure: ConnectionFailure | null) => void;
}

export interface DialOptions<Address> {
  /** In the order in which they are tried; not empty. */
  addresses: readonly Address[];
  /** Monotonic moment by which the caller cancels. */
  deadline: number;
  connect: (to: Address, progress: DialProgress) => Connection;
  /** Told of the first connection that is up; the others were given up. */
  onConnected: (connection: Connection, to: Address) => void;
  /** All have failed. */
  onFailed: (failure: ConnectionFailure) => void;
}

export interface Dial {
  /** Gives all of it up, without telling anybody. */
  cancel(): void;
}

/** RFC 8305, 5: the pause before the next address is tried beside the ones before. */
const NEXT_ADDRESS_MS = 250;
/** A name may have hundreds of addresses that lead nowhere: the oldest attempt makes room for the next. */
const MAX_AT_ONCE = 4;

/**
 * Connects to the first of several addresses that answers ("happy eyeballs", RFC 8305): each begins when the one
 * before has failed, or a quarter of a second later.
 */
export function dial<Address>(options: DialOptions<Address>): Dial {
  const { addresses, connect, onConnected, onFailed } = options;
  const racing = new Set<Connection>();
  const failures: ConnectionFailure[] = [];
  let next = 0;
  let over = false;
  let timer: ReturnType<typeof setTimeout> | undefined;

  const cancel = (): void => {
    over = true;
    clearTimeout(timer);
    for (const connection of racing) connection.destroy();
    racing.clear();
  };

  const judge = (connection: Connection, to: Address, failure: ConnectionFailure | null): void => {
    if (over) return;
    racing.delete(connection);
    if (failure === null) {
      cancel();
      onConnected(connection, to);
      return;
    }
    failures.push(failure);
    if (next < addresses.length) beginNext();
    else if (racing.size === 0) {
      cancel();
      onFailed(sum(failures));
    }
  };

  const beginNext = (): void => {
    if (racing.size === MAX_AT_ONCE) giveUpOldest();
    const to = addresses[next] as Address;
    next += 1;
    const connection = connect(to, {
      onReached: () => {
        if (racing.has(connection)) wait(share());
      },
      onUp: (failure) => judge(connection, to, failure),
    });
    racing.add(connection);
    wait(Math.min(NEXT_ADDRESS_MS, share()));
  };

  const giveUpOldest = (): void => {
    const [oldest] = racing;
    oldest?.destroy();
    if (oldest) racing.delete(oldest);
  };

  const wait = (milliseconds: number): void => {
    clearTimeout(timer);
    if (next < addresses.length) timer = setTimeout(beginNext, milliseconds);
  };

  /** However little time is left, all addresses have their turn. One that was reached may take its whole share. */
  const share = (): number =>
    Math.max(0, options.deadline - performance.now()) / (addresses.length - next + 1);

  beginNext();
  return { cancel };
}

const MAX_DETAILS = 3;

/** One failure of several: the kind that tells most, and each detail of it once. */
function sum(failures: readonly ConnectionFailure[]): ConnectionFailure {
  const telling = failures.find(({ failure }) => failure !== "connection_failed") ?? failures[0];
  const { failure } = telling as ConnectionFailure;
  const details = new Set(failures.filter((one) => one.failure === failure).map(({ detail }) => detail));
  return { failure, detail: [...details].slice(0, MAX_DETAILS).join("; ") };
}
