/** Can a JSON Schema be used, and where does a value not match it? @module */

import { Ajv, type ErrorObject, type Options, type ValidateFunction } from 'ajv'
import { Ajv2019 } from 'ajv/dist/2019.js'
import { Ajv2020 } from 'ajv/dist/2020.js'
import type { JsonObject } from '../src/core/definition.ts'
import type { Issue } from '../src/errors.ts'

/** A JSON Schema of draft 2020-12 (the default), 2019-09 or 07. */
export type JsonSchema = boolean | JsonObject

type Path = readonly (string | number)[]
type AjvClass = typeof Ajv | typeof Ajv2019 | typeof Ajv2020
type Compiled = { readonly validate: ValidateFunction } | { readonly issues: readonly Issue[] }

const OPTIONS: Options = {
  allErrors: true,
  strict: false,
  logger: false,
  validateFormats: false,
  // Without it, `toString` counts as present in every object.
  ownProperties: true,
}

const LATEST = 'https://json-schema.org/draft/2020-12/schema'

const DRAFTS: ReadonlyMap<string, AjvClass> = new Map<string, AjvClass>([
  [LATEST, Ajv2020],
  ['https://json-schema.org/draft/2019-09/schema', Ajv2019],
  ['http://json-schema.org/draft-07/schema', Ajv],
])

const CACHE_SIZE = 500

const compiledSchemas = new Map<string, Compiled>()

const metaSchemas = new Map<AjvClass, InstanceType<AjvClass>>()

/** Reports why a JSON Schema cannot be used; nothing when it can. */
export function schemaIssues(schema: unknown): readonly Issue[] {
  const compiled = compiledOnce(schema)
  return 'issues' in compiled ? compiled.issues : []
}

/** Reports where a value, itself found at `path`, does not match a JSON Schema; nothing when it does. */
export function mismatches(schema: unknown, value: unknown, path: Path): readonly Issue[] {
  const compiled = compiledOnce(schema)
  const issues = 'issues' in compiled ? compiled.issues : mismatchesOf(compiled.validate, value)
  return issues.map((issue) => ({ ...issue, path: [...path, ...issue.path] }))
}

function mismatchesOf(validate: ValidateFunction, value: unknown): readonly Issue[] {
  try {
    validate(value)
    return issuesOf(validate.errors, value)
  } catch (error) {
    // Some schemas call themselves for ever, but only with some values.
    return [unusable(error)]
  }
}

function compiledOnce(schema: unknown): Compiled {
  const text = JSON.stringify(schema) ?? ''
  const known = compiledSchemas.get(text)
  if (known !== undefined) return known
  const [oldest] = compiledSchemas.keys()
  if (oldest !== undefined && compiledSchemas.size >= CACHE_SIZE) compiledSchemas.delete(oldest)
  const compiled = compile(schema, text)
  compiledSchemas.set(text, compiled)
  return compiled
}

function compile(schema: unknown, text: string): Compiled {
  if (!isSchema(schema)) return refusal([], 'must be an object or a boolean')
  const dialect = typeof schema === 'boolean' ? LATEST : (schema.$schema ?? LATEST)
  const Draft = DRAFTS.get(String(dialect).replace(/#$/, ''))
  if (Draft === undefined) {
    return refusal(['$schema'], `must be one of ${[...DRAFTS.keys()].join(', ')}`)
  }
  // Ajv would ignore the property, and answer an asynchronous schema with a promise.
  if (text.includes('"__proto__":')) return refusal([], 'cannot speak of a property "__proto__"')
  if (text.includes('"$async":')) return refusal([], 'cannot be asynchronous')
  try {
    return compileWith(Draft, schema)
  } catch (error) {
    return { issues: [unusable(error)] }
  }
}

function compileWith(Draft: AjvClass, schema: JsonSchema): Compiled {
  const meta = metaSchemas.get(Draft) ?? new Draft(OPTIONS)
  metaSchemas.set(Draft, meta)
  if (!meta.validateSchema(schema)) return { issues: issuesOf(meta.errors, schema) }
  // A fresh instance for each schema: the `$id` of one would be taken for the others.
  const validate = new Draft({ ...OPTIONS, validateSchema: false }).compile(schema)
  // A schema that refers to nothing but itself overflows the stack here and not in every run.
  validate(null)
  return { validate }
}

function isSchema(value: unknown): value is JsonSchema {
  return typeof value === 'boolean' || (isContainer(value) && !Array.isArray(value))
}

function isContainer(value: unknown): value is Readonly<Record<string | number, unknown>> {
  return typeof value === 'object' && value !== null
}

function issuesOf(errors: readonly ErrorObject[] | null | undefined, value: unknown): Issue[] {
  return (errors ?? []).map((error) => ({
    path: [...pathTo(error.instancePath, value), ...propertyOf(error)],
    code: error.keyword,
    message: error.message ?? 'does not match the schema',
  }))
}

function pathTo(pointer: string, root: unknown): Path {
  let value = root
  return pointer
    .split('/')
    .slice(1)
    .map((segment) => {
      const key = segment.replaceAll('~1', '/').replaceAll('~0', '~')
      const step = Array.isArray(value) ? Number(key) : key
      value = isContainer(value) ? value[step] : undefined
      return step
    })
}

// Ajv reports a property that is missing or too much at the object around it.
function propertyOf({ params }: ErrorObject): Path {
  const names: readonly unknown[] = [
    params.missingProperty,
    params.additionalProperty,
    params.unevaluatedProperty,
    params.propertyName,
  ]
  return names.filter((name) => typeof name === 'string')
}

function refusal(path: Path, message: string): Compiled {
  return { issues: [{ path, code: 'schema_unusable', message }] }
}

function unusable(error: unknown): Issue {
  const overflow = error instanceof RangeError ? 'it refers to itself without end' : null
  const cause = overflow ?? (error instanceof Error ? error.message : String(error))
  return { path: [], code: 'schema_unusable', message: `the schema cannot be used: ${cause}` }
}
