/** How is the database copied while it is in use? `backup` @module */

import type { Context } from '../context.ts'
import { refuseIssues } from '../errors.ts'
import { beginLife } from './running.ts'

/** Copies the database to a file that does not exist yet. Throws `invalid_input` for a path that is none. */
export async function backUp(context: Context, path: string): Promise<void> {
  const issue = { path: [], code: 'invalid_type', message: 'has to be a path' }
  refuseIssues('the path of the backup', typeof path === 'string' && path !== '' ? [] : [issue])
  const life = beginLife(context)
  try {
    await context.store.backup(path, life.signal)
  } finally {
    life.end()
  }
}
