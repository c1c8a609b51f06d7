/** What happened at the same time, as far as those know who did it. */

import { isPawlError } from '../../../src/index.ts'
import type { Answer } from './judge.ts'
import type { Planned } from './requests.ts'
import type { Found } from './stage.ts'

export interface Called {
  readonly planned: Planned
  readonly answer: Answer
}

export type End = 'kept' | 'undone' | 'indeterminate'

/** Something that came beside the calls. */
export type Company = Transaction | Tick

export interface Transaction {
  readonly is: 'transaction'
  /** Up to the one that ended it. */
  readonly called: readonly Called[]
  readonly end: End
  readonly note: boolean
}

export interface Tick {
  readonly is: 'tick'
  readonly now: number
  readonly end: End
  /** Whether nobody else had a connection to be at work on. */
  readonly isAlone: boolean
}

/** What happened at the same time, and what was found after it. */
export interface Scene {
  readonly now: number
  readonly called: readonly Called[]
  readonly company: readonly Company[]
  readonly found: Found
}

/** What the storage said no to has left nothing; of a commit that failed nobody knows. */
export function endOf(answer: Answer): End {
  if (answer.ok || !isPawlError(answer.error)) return 'kept'
  const { code } = answer.error
  if (code === 'indeterminate') return 'indeterminate'
  return code.startsWith('storage_') || code === 'closed' ? 'undone' : 'kept'
}
