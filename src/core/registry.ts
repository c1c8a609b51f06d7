/** Which kinds of resources does an engine have, and who restricts whom? @module */

import { machineInvalid, shown } from '../errors.ts'
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
  // Those of the log itself and of what is to be delivered.
  const prefixes = new Set(['evt', 'edlv', 'corr'])
  for (const [property, definition] of Object.entries(definitions)) {
    requireShape(property, definition)
    const kind = toKind(definition, digest)
    if (!PROPERTY.test(property) || ENGINE_PROPERTIES.has(property)) {
      throw machineInvalid(
        kind.type,
        `"${property}" cannot be its property: it is the engine's own, or no plain name`,
      )
    }
    if (byType.has(kind.type)) throw machineInvalid(kind.type, 'its type is registered twice')
    if (prefixes.has(kind.prefix))
      throw machineInvalid(kind.type, `its prefix "${kind.prefix}" is taken`)
    byType.set(kind.type, kind)
    byProperty.set(property, kind)
    prefixes.add(kind.prefix)
  }
  const registry = { byType, byProperty, restrictions: restrictionsOf(byType) }
  validate(registry)
  return registry
}

/** Refuses what is no definition at all, before its parts are used. */
function requireShape(property: string, definition: unknown): void {
  const {
    type = property,
    machine,
    input,
    commands,
  } = (definition ?? {}) as Partial<Readonly<Record<keyof ResourceDefinition, unknown>>>
  const schemas = [input, ...Object.values(commands ?? {})]
  const isMachine = typeof machine === 'object' && machine !== null && 'provide' in machine
  if (isMachine && typeof type === 'string' && isObject(commands) && schemas.every(isSchema)) return
  const needs =
    'type, prefix, input, commands and machine; input and each command have to be schemas'
  throw machineInvalid(
    shown(type),
    `resources.${property} is no definition: use defineResource, with ${needs}`,
  )
}

function isObject(value: unknown): value is object {
  return typeof value === 'object' && value !== null
}

function isSchema(value: unknown): boolean {
  return (isObject(value) || typeof value === 'function') && '~standard' in value
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
