/** The name of the consumer that copies events into a table of its own. */
export const COPIER = 'copier'

/** The events that it copies. */
export const COPIED = 'task.*'

interface Copy {
  readonly event_id: string
  readonly seq: number
  /** Which try of the event wrote it. */
  readonly attempt: number
}

/** Its table. */
export type CopyTables = Record<'copies', Copy>
