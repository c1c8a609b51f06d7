/** Can a destination ever be delivered to? Checked where it is created and updated. @module */

import type {
  JsonObject,
  ResourceDefinition,
  Schema,
  SchemaIssue,
  Secret,
  Validation,
} from '../core/definition.ts'
import { type Issue, machineInvalid } from '../errors.ts'
import { DESTINATION } from './deliverer.ts'
import type { DestinationType } from './destination-type.ts'

/** A kind of receivers that an engine has. */
export interface KnownType {
  readonly type: DestinationType
  /** Says why a configuration can never work, beyond its schema. */
  readonly issues: (config: JsonObject) => readonly Issue[]
}

/** The kinds of receivers, by name. */
export type KnownTypes = ReadonlyMap<string, KnownType>

/** Has the definition of destinations check configurations by their types, and keep the secrets in them. */
export function checkedDestinations(
  definitions: Readonly<Record<string, ResourceDefinition>>,
  types: KnownTypes,
): Readonly<Record<string, ResourceDefinition>> {
  const entries = Object.entries(definitions).map(([property, definition]) => [
    property,
    definition?.type === DESTINATION ? checked(definition, types) : definition,
  ])
  return Object.fromEntries(entries)
}

function checked(definition: ResourceDefinition, types: KnownTypes): ResourceDefinition {
  const { update } = definition.commands ?? {}
  if (update === undefined || definition.input === undefined) return definition
  return {
    ...definition,
    input: withCheck(definition.input, (value) => inputIssues(value, types)),
    commands: {
      ...definition.commands,
      update: withCheck(update, (value) => updateIssues(value, types)),
    },
    secrets: { ...definition.secrets, ...secretsOf(types) },
  }
}

function secretsOf(types: KnownTypes): Readonly<Record<string, Secret>> {
  const entries = [...types.values()].flatMap(({ type: { type, secrets = [] } }) =>
    secrets.map((path) => [`${type}.${path}`, { path: `${type}.${path}` }] as const),
  )
  return Object.fromEntries(entries)
}

/** What a check gives: issues, or the configuration as its schema completes it. */
type Check = (value: JsonObject) => readonly SchemaIssue[] | JsonObject

/** The same schema with a check after it. */
function withCheck(schema: Schema, check: Check): Schema {
  const { validate, ...standard } = schema['~standard']
  // What a schema says of itself is not part of the standard.
  const { description } = schema as { readonly description?: unknown }
  return {
    ...{ description },
    '~standard': {
      ...standard,
      validate: (value) => {
        const result = validate(value)
        if (result instanceof Promise || result.issues !== undefined) return result
        return toValidation(check(result.value as JsonObject))
      },
    },
  }
}

function toValidation(found: readonly SchemaIssue[] | JsonObject): Validation<unknown> {
  return Array.isArray(found) ? { issues: found } : { value: found }
}

function inputIssues(value: JsonObject, types: KnownTypes): readonly SchemaIssue[] | JsonObject {
  const { type } = value
  if (typeof type !== 'string') return value
  const known = types.get(type)
  return known === undefined ? [unknownType(type, types)] : configured(value, known)
}

function updateIssues(value: JsonObject, types: KnownTypes): readonly SchemaIssue[] | JsonObject {
  const unknown = Object.keys(value).find((key) => !COMMON.has(key) && !types.has(key))
  if (unknown !== undefined) return [unknownType(unknown, types)]
  const [known] = [...types.values()].filter(({ type }) => Object.hasOwn(value, type.type))
  return known === undefined ? value : configured(value, known)
}

/** What every destination has, besides its configuration. */
const COMMON: ReadonlySet<string> = new Set(['type', 'name', 'events', 'delivery'])

function configured(
  value: JsonObject,
  { type: { type, config }, issues }: KnownType,
): readonly SchemaIssue[] | JsonObject {
  const result = config['~standard'].validate(value[type])
  if (result instanceof Promise)
    throw machineInvalid(DESTINATION, `the schema of ${type} validates asynchronously`)
  if (result.issues !== undefined)
    return result.issues.map((issue) => ({ ...issue, path: [type, ...(issue.path ?? [])] }))
  const found = issues(result.value as JsonObject)
  if (found.length > 0) return found.map((issue) => ({ ...issue, path: [type, ...issue.path] }))
  return { ...value, [type]: result.value }
}

function unknownType(type: string, types: KnownTypes): SchemaIssue {
  const message = `${JSON.stringify(type)} is no type of destinations here (types: ${[...types.keys()].join(', ')}); give createEngine the option destinationTypes`
  return Object.assign({ path: ['type'], message }, { code: 'unknown_type' })
}
