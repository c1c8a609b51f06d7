/** What is said to whoever copies what cannot be copied? @module */

import { invalidInput, type PawlError } from '../../errors.ts'

type Refusal = PawlError<'invalid_input'>

/** The error for a target with a database that is not the source. */
export function otherDatabase(schema: string): Refusal {
  const message = `the schema "${schema}" holds another database; copy into one that does not exist or is empty`
  return refusal('another_database', message)
}

/** The error for a source that is not any more what has been copied. */
export function changedMeanwhile(schema: string): Refusal {
  const message = `the source has been written to since the copy began; stop every engine that uses it, drop the schema "${schema}", and copy again`
  return refusal('source_changed', message)
}

/** The error for a target that has been copied whole, and is not the same as the source any more. */
export function goneOn(schema: string): Refusal {
  const message = `the schema "${schema}" has been copied before, and one of the two has been written to since; to copy again, drop the schema`
  return refusal('target_changed', message)
}

/** The error for a target to which others write during the copy. */
export function writtenByOthers(schema: string, cause?: unknown): Refusal {
  const message = `somebody else writes to the schema "${schema}", an engine or another copy; leave it to one copy, or stop the engine, drop the schema, and copy again`
  return refusal('target_in_use', message, cause)
}

function refusal(code: string, message: string, cause?: unknown): Refusal {
  return invalidInput('the copy', [{ path: [], code, message }], cause)
}
