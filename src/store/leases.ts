/** Work that one daemon at a time does for all that share a store. */
export type LeasedJob = "prune";

export interface Lease {
  /** Whether it still holds; once it does not, it never does again. */
  held(): boolean;
  /** Gives it up, so that another may have it at once. Never rejects. */
  release(): Promise<void>;
}

export interface Leases {
  /** Takes a job on; null while another has it. Rejects with StoreFault when the store cannot do its work. */
  hold(job: LeasedJob): Promise<Lease | null>;
}
