/** Does what has only been read still hold, once nobody else can write? @module */

import { isDeepStrictEqual } from 'node:util'
import type { Asked, Referrers } from './answers.ts'
import { Overtaken } from './failures.ts'
import type { Fetchers } from './fetching.ts'
import type { Locking } from './locks.ts'
import type { Session } from './session.ts'
import { anyOf, type Slot, type Statements } from './statement.ts'

/** Who has been found to refer to resources. */
export interface Listed {
  readonly asked: readonly Asked<'referrers'>[]
  readonly answers: readonly Referrers[]
}

/** Makes sure that it holds. Throws `Overtaken`; the next attempt then locks what it takes. */
export type Recheck = (
  session: Session,
  locking: Locking,
  listed: readonly Listed[],
) => Promise<unknown>

/**
 * Prepares looking at it once more. What is not to be changed is not locked: many at once would keep out for ever
 * whoever is to change it. As nobody writes while another one holds the end of the log, it is enough to compare then.
 */
export function createRecheck(
  statements: Statements,
  { referrers }: Pick<Fetchers, 'referrers'>,
): Recheck {
  const versions = versionsOf(statements)
  const requireSeen = async (session: Session, { needs, seen }: Locking) => {
    if (seen.size === 0) return
    const rows = await versions.all(session, { ids: [...seen.keys()] })
    const now = new Map(rows.map(({ id, version }) => [id, version]))
    const others = [...seen].filter(([id, version]) => (now.get(id) ?? null) !== version)
    for (const [id] of others) needs.resources.set(id, 'own')
    if (others.length > 0) throw new Overtaken('what is referred to has changed by now')
  }
  const requireListed = async (session: Session, needs: Locking['needs'], listed: Listed) => {
    const now = await referrers(session, listed.asked)
    if (isDeepStrictEqual(now, listed.answers)) return
    needs.head = true
    throw new Overtaken('others refer to a resource by now')
  }
  return (session, locking, listed) =>
    Promise.all([
      requireSeen(session, locking),
      ...listed.map((one) => requireListed(session, locking.needs, one)),
    ])
}

function versionsOf({ queries, prepare }: Statements) {
  return prepare((slot: Slot<'ids'>) =>
    queries
      .selectFrom('pawl_resources')
      .select(['id', 'version'])
      .where('id', '=', anyOf<string>(slot('ids'), 'text')),
  )
}
