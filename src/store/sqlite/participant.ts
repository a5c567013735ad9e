/** What is in memory of a table, and holds once a transaction that changes it is committed. */
export interface Participant {
  committed(): void;
  rolledBack(): void;
}
