/** What is said to whoever uses a transaction where it cannot be used? @module */

import { messageOf, PawlError } from '../errors.ts'

/** The error for a transaction that is not open any more. */
export function misuse(
  reason: string,
  advice: string,
  cause?: unknown,
): PawlError<'transaction_misuse'> {
  const message = `the transaction cannot be used: ${reason}; ${advice}`
  const options = cause === undefined ? {} : { cause }
  return new PawlError('transaction_misuse', message, { reason }, options)
}

/** The error for a transaction that the database has undone, if it is known: with this error. */
export function undone(cause: unknown): PawlError<'transaction_misuse'> {
  const advice =
    cause === undefined
      ? 'an error before this one has undone it, or the application has ended it itself'
      : `an error before this one has undone it: ${messageOf(cause)}`
  return misuse('it is no longer open on the database', advice, cause)
}

/** The error for a call that would wait for the end of the transaction that it is made in. */
export function goesAround(): PawlError<'transaction_misuse'> {
  const reason = 'within a transaction only its own handle can be used'
  const message = `${reason}: call tx.… instead of engine.…, which would wait for the transaction to end`
  return new PawlError('transaction_misuse', message, { reason })
}
