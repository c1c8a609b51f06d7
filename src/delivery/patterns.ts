/** Which destinations want an event? @module */

import { matches } from '../log/events.ts'
import type { DestinationRow } from '../store/deliveries.ts'
import type { ReadEntry } from '../store/queries.ts'

/** Whether a type of events is among patterns: a type, `object.*` or `*`. */
export function isWanted(patterns: readonly string[], type: string): boolean {
  return patterns.some((pattern) => pattern === '*' || matches(pattern, type))
}

/** The destinations that get everything as it is given out. */
export interface Followers {
  count(): number
  /** Those that want an event, in the order of their creation; none gets what is about itself. */
  of(
    entry: Pick<ReadEntry, 'tenant' | 'type' | 'internal' | 'resourceId'>,
  ): readonly DestinationRow[]
  /** Takes a destination in as it is now, or leaves it out. */
  put(destination: DestinationRow): void
}

/** The followers of a tenant: those of a type of events are looked for once, however many others there are. */
interface Group {
  readonly all: Map<number, DestinationRow>
  readonly wanting: Map<string, readonly DestinationRow[]>
}

/** Prepares finding the destinations of events. */
export function createFollowers(destinations: readonly DestinationRow[]): Followers {
  const groups = new Map<string, Group>()
  let count = 0
  const put = (destination: DestinationRow): void => {
    const { tenant, position, phase } = destination
    const { all, wanting } = groups.get(tenant) ?? newGroup(groups, tenant)
    count -= all.size
    if (phase === 'following') all.set(position, destination)
    else all.delete(position)
    count += all.size
    wanting.clear()
  }
  for (const destination of destinations) put(destination)
  return {
    put,
    count: () => count,
    of: ({ tenant, type, internal, resourceId }) => {
      const group = groups.get(tenant)
      if (internal || group === undefined) return []
      const found = group.wanting.get(type) ?? wantingOf(group, type)
      group.wanting.set(type, found)
      return found.filter(({ id }) => id !== resourceId)
    },
  }
}

function newGroup(groups: Map<string, Group>, tenant: string): Group {
  const group = { all: new Map(), wanting: new Map() }
  groups.set(tenant, group)
  return group
}

function wantingOf({ all }: Group, type: string): readonly DestinationRow[] {
  return [...all.values()]
    .filter(({ patterns }) => isWanted(patterns, type))
    .sort((one, other) => one.position - other.position)
}
