/** Which kinds of resources does an engine have, and who restricts whom? @module */

import { machineInvalid } from '../errors.ts'
import type { ResourceDefinition } from './definition.ts'
import { type Kind, toKind } from './kind.ts'
import type { ReferenceField } from './questions.ts'
import { validate } from './validate.ts'

/** All kinds of an engine. */
export interface Registry {
  readonly byType: ReadonlyMap<string, Kind>
  readonly byProperty: ReadonlyMap<string, Kind>
  /** By type and command: the fields through which a live resource forbids the command. */
  readonly restrictions: ReadonlyMap<string, ReadonlyMap<string, readonly ReferenceField[]>>
}

const PROPERTY = /^[a-zA-Z]\w*$/

// The engine's own properties, those to come included; and an engine with `then` could not be awaited.
const ENGINE_PROPERTIES: ReadonlySet<string> = new Set([
  ...['events', 'timers', 'tenant', 'start', 'stop', 'tick', 'close', 'clock', 'then'],
  ...['consume', 'consumers', 'transaction', 'within', 'deliveries', 'describe'],
  ...['verify', 'backup', 'prune', 'migrate', 'rotateKeys'],
])

/**
 * Registers definitions under the properties of an engine. `digest` shortens a machine's structure.
 * Throws `machine_invalid` for the first thing that cannot work.
 */
export function createRegistry(
  definitions: Readonly<Record<string, ResourceDefinition>>,
  digest: (structure: string) => string,
): Registry {
  const byType = new Map<string, Kind>()
  const byProperty = new Map<string, Kind>()
  const prefixes = new Set<string>()
  for (const [property, definition] of Object.entries(definitions)) {
    const kind = toKind(definition, digest)
    if (!PROPERTY.test(property) || ENGINE_PROPERTIES.has(property)) {
      throw machineInvalid(
        kind.type,
        `"${property}" cannot be its property: it is the engine's own, or no plain name`,
      )
    }
    if (byType.has(kind.type)) throw machineInvalid(kind.type, 'its type is registered twice')
    if (prefixes.has(kind.prefix))
      throw machineInvalid(kind.type, `its prefix "${kind.prefix}" is registered twice`)
    byType.set(kind.type, kind)
    byProperty.set(property, kind)
    prefixes.add(kind.prefix)
  }
  const registry = { byType, byProperty, restrictions: restrictionsOf(byType) }
  validate(registry)
  return registry
}

function restrictionsOf(kinds: ReadonlyMap<string, Kind>): Registry['restrictions'] {
  const restrictions = new Map<string, Map<string, ReferenceField[]>>()
  for (const kind of kinds.values()) {
    for (const [field, { type, restricts = [] }] of kind.references) {
      const commands = restrictions.get(type) ?? new Map<string, ReferenceField[]>()
      restrictions.set(type, commands)
      for (const command of restricts) {
        commands.set(command, [...(commands.get(command) ?? []), { type: kind.type, field }])
      }
    }
  }
  return restrictions
}
