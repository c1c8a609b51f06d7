/** How does a check of the database keep what it has seen and found? @module */

import type { Context } from '../context.ts'
import { isPawlError } from '../errors.ts'

/**
 * What a difference is about: the log as a whole, the chain of hashes, the count of versions, what the
 * machine says, the row of a resource, its timers, its references, its secrets, remembered outcomes,
 * consumers, deliveries, or a part of the file that cannot be read.
 */
export type DifferenceKind =
  | 'log'
  | 'hash'
  | 'version'
  | 'replay'
  | 'state'
  | 'timer'
  | 'reference'
  | 'secret'
  | 'outcome'
  | 'consumer'
  | 'delivery'
  | 'storage'

/** Something in the database that is not as the log says it should be. */
export interface VerificationDifference {
  readonly kind: DifferenceKind
  /** The resource that it is about; null where it is about none in particular. */
  readonly resource_id: string | null
  /** The place in the log, where it is about one. */
  readonly seq?: number
  /** What was found, and what was expected. */
  readonly message: string
}

/** How much has been checked. */
export interface VerifyProgress {
  readonly resources: number
  readonly events: number
}

/** A check that is under way. */
export interface Inspection {
  readonly context: Context
  /** Whether the engine has keys to open secrets with. */
  readonly hasKeys: boolean
  /** What time it is or, if the clock has been set back since, what time it has been. */
  readonly now: number
  readonly differences: VerificationDifference[]
  readonly checked: { resources: number; events: number; timers: number }
  readonly report: (checked: VerifyProgress) => void
  /** How much had been checked when that was last reported. */
  reported: number
}

/** A place to which differences belong. */
export interface Subject {
  readonly kind: DifferenceKind
  readonly resourceId: string | null
  readonly seq?: number | undefined
}

/** Notes a difference. */
export function differ({ differences }: Inspection, subject: Subject, message: string): void {
  const { kind, resourceId: resource_id, seq } = subject
  differences.push({ kind, resource_id, ...(seq !== undefined && { seq }), message })
}

/** Reads something; notes a part of the file that is damaged, and gives undefined then. */
export async function readable<T>(
  inspection: Inspection,
  resourceId: string | null,
  what: string,
  read: () => Promise<T>,
): Promise<{ readonly read: T } | undefined> {
  try {
    return { read: await read() }
  } catch (error) {
    if (!isPawlError(error, 'storage_corrupt')) throw error
    differ(inspection, { kind: 'storage', resourceId }, `${what} cannot be read: ${error.message}`)
    return undefined
  }
}

// A report for each of this many rows is often enough to be looked at.
const REPORT_EVERY = 1000

/** Tells whoever watches how far the check has come, now and then. */
export function progress(inspection: Inspection): void {
  const { checked, report } = inspection
  const seen = checked.resources + checked.events
  if (seen - inspection.reported < REPORT_EVERY) return
  inspection.reported = seen
  report({ resources: checked.resources, events: checked.events })
}
