/** Which keys does an object take, and what is said to those who give others? @module */

import { z } from 'zod'
import { shown } from './errors.ts'

/** A schema of an object with these keys and no others; an issue about others names those that there are. */
export function strictObject<Shape extends z.core.$ZodLooseShape>(shape: Shape) {
  const accepted = Object.keys(shape)
  return z.strictObject(shape, {
    error: (issue) =>
      issue.code === 'unrecognized_keys' ? unrecognized(issue.keys, accepted) : undefined,
  })
}

function unrecognized(keys: readonly string[], accepted: readonly string[]): string {
  const which = `unrecognized key${keys.length === 1 ? '' : 's'} ${keys.map(shown).join(', ')}`
  const instead = accepted.length === 0 ? 'none is accepted' : `accepted: ${accepted.join(', ')}`
  return `${which} (${instead})`
}
