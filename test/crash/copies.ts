/** The name of the consumer that copies events into a table of its own. */
export const COPIER = 'copier'

/** The events that it copies. */
export const COPIED = 'task.*'

/** How long a process that has died keeps the others waiting. */
export const LEASE_MS = 150

interface Copy {
  readonly event_id: string
  readonly seq: number
  /** Which try of the event wrote it. */
  readonly attempt: number
}

/** Its table. */
export type CopyTables = Record<'copies', Copy>
