/** How do functions that SQLite answers at once become the promises of a store? @module */

/** The same functions, answered at once. */
export type Immediate<T> = {
  readonly [Name in keyof T]: T[Name] extends (...args: infer Args) => Promise<infer Result>
    ? (...args: Args) => Result
    : never
}

/** Runs a piece of work when its time has come. */
export type When = <T>(work: () => T) => Promise<T>

/** Runs each function when its time has come. */
export function deferred<T extends object>(functions: Immediate<T>, when: When): T {
  const entries = Object.entries<(...args: unknown[]) => unknown>(functions as never)
  const waiting = entries.map(([name, run]) => [
    name,
    (...args: unknown[]) => when(() => run(...args)),
  ])
  return Object.fromEntries(waiting) as T
}
