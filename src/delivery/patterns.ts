/** Which destinations want an event? @module */

import type { DestinationRow } from '../store/deliveries.ts'
import type { ReadEntry } from '../store/queries.ts'

/** Whether a type of events is among patterns: a type, `object.*` or `*`. */
export function isWanted(patterns: readonly string[], type: string): boolean {
  const object = type.slice(0, type.indexOf('.'))
  return patterns.some(
    (pattern) => pattern === '*' || pattern === type || pattern === `${object}.*`,
  )
}

/** Finds the destinations of an event. */
export interface Followers {
  readonly count: number
  /** Those that want it, in the order of their creation; none gets what is about itself. */
  of(
    entry: Pick<ReadEntry, 'tenant' | 'type' | 'internal' | 'resourceId'>,
  ): readonly DestinationRow[]
}

/** Prepares finding: the destinations of a type of events are looked for once, however many others there are. */
export function createFollowers(destinations: readonly DestinationRow[]): Followers {
  const tenants = new Map<string, DestinationRow[]>()
  const wanting = new Map<string, readonly DestinationRow[]>()
  const following = destinations.filter(({ phase }) => phase === 'following')
  for (const one of following) {
    const others = tenants.get(one.tenant)
    if (others === undefined) tenants.set(one.tenant, [one])
    else others.push(one)
  }
  const wantingOf = (tenant: string, type: string): readonly DestinationRow[] => {
    const key = `${type} ${tenant}`
    const found =
      wanting.get(key) ??
      (tenants.get(tenant) ?? []).filter(({ patterns }) => isWanted(patterns, type))
    wanting.set(key, found)
    return found
  }
  return {
    count: following.length,
    of: ({ tenant, type, internal, resourceId }) =>
      internal ? [] : wantingOf(tenant, type).filter(({ id }) => id !== resourceId),
  }
}
