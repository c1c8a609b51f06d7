/** Can the machines of today go on from the states in which resources are stored? @module */

import type { Base } from '../context.ts'
import type { Kind } from '../core/kind.ts'
import { hasState } from '../core/state.ts'
import { isCovered } from '../core/versions.ts'
import { machineInvalid } from '../errors.ts'
import type { StateCount } from '../store/queries.ts'

/**
 * Refuses to go on with a machine that has lost a state in which a resource is, naming the states
 * and how many resources are in them; those that a migration covers may be anywhere. Looks at rows
 * only when a machine has changed since the last time.
 */
export async function requireStoredStates({
  registry,
  store,
}: Pick<Base, 'registry' | 'store'>): Promise<void> {
  for (const kind of registry.byType.values()) {
    if ((await store.checkedMachine(kind.type)) === kind.fingerprint) continue
    const states = await store.countStates(kind.type)
    const settled = states.filter(({ machine }) => !isCovered(kind, machine))
    const lost = settled.filter(({ value, memory }) => !hasState(kind, value, memory))
    if (lost.length > 0) throw lostStates(kind, lost)
    // Where some have yet to be migrated, the next start looks again, whichever machine it has.
    const isDone = settled.length === states.length
    await store.markChecked(kind.type, isDone ? kind.fingerprint : MIGRATING)
  }
}

// Stands for the machine of a type whose resources are on their way from one version to the next.
const MIGRATING = 'migrating'

function lostStates(kind: Kind, lost: readonly StateCount[]): Error {
  const counts = new Map<string, number>()
  for (const { value, count } of lost) counts.set(value, (counts.get(value) ?? 0) + count)
  const states = [...counts].map(([value, count]) => `${value} (${count})`).join(', ')
  return machineInvalid(
    kind.type,
    `it no longer has states in which resources are stored: ${states}; give it those states again, or a higher version with a migrate for the version that had them`,
  )
}
