/** How do functions that need a connection become those of a store? @module */

import type { Session } from './session.ts'

/** The same functions, with the connection to use in front. */
export type OnSession<T> = {
  readonly [Name in keyof T]: T[Name] extends (...args: infer Args) => Promise<infer Result>
    ? (session: Session, ...args: Args) => Promise<Result>
    : never
}

/** Finds a connection for a piece of work. */
export type With = <T>(work: (session: Session) => Promise<T>) => Promise<T>

/** Gives each function a connection. */
export function bound<T extends object>(functions: OnSession<T>, within: With): T {
  const entries = Object.entries<(session: Session, ...args: unknown[]) => Promise<unknown>>(
    functions as never,
  )
  const given = entries.map(([name, run]) => [
    name,
    (...args: unknown[]) => within((session) => run(session, ...args)),
  ])
  return Object.fromEntries(given) as T
}
