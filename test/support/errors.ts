import { expect } from 'vitest'
import { isPawlError } from '../../src/index.ts'
import { type AnyEngine, type Blocker, fullLog } from './engine.ts'

/** An error of the engine with the data of every leaf, all optional. */
export interface ErrorView {
  readonly code: string
  readonly message: string
  readonly retryable: boolean
  readonly reason?: string
  readonly resource_id?: string
  readonly status?: string
  readonly command?: string
  readonly accepts?: readonly string[]
  readonly blockers?: readonly Blocker[]
  readonly expected?: unknown
  readonly actual?: unknown
  readonly issues?: readonly Issue[]
  readonly key?: string
  readonly machine?: string
  readonly operation?: string
}

export interface Issue {
  readonly path: unknown
  readonly code: string
  readonly message: string
}

/** What an error of the engine says: its code and message, and its data. */
export function viewOf(error: unknown): ErrorView {
  if (!isPawlError(error)) throw new Error('not an error of the engine', { cause: error })
  const { code, message, retryable } = error
  const details: unknown = error.details
  return { ...(details as object), code, message, retryable }
}

/** Waits for a call to fail with an error of the engine, and gives what it says. */
export async function failureOf(call: PromiseLike<unknown> | (() => unknown)): Promise<ErrorView> {
  const error = await caught(typeof call === 'function' ? async () => call() : () => call)
  return viewOf(error)
}

/** Waits for a call to fail, and gives what it threw, whatever that is. */
export async function caught(call: () => unknown): Promise<unknown> {
  try {
    await call()
  } catch (error) {
    return error
  }
  return expect.fail('the call succeeded, where an error was expected')
}

/** Checks that a call fails and writes nothing, and gives what the error says. */
export async function refused(engine: AnyEngine, call: () => Promise<unknown>): Promise<ErrorView> {
  const before = await fullLog(engine)
  const error = await failureOf(call)
  expect(await fullLog(engine)).toEqual(before)
  return error
}
