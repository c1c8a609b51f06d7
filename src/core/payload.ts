/** Does a payload have the shape that its schema asks for? @module */

import { type Issue, invalidInput, machineInvalid, withArticle } from '../errors.ts'
import type { Command, JsonObject, Schema, SchemaIssue } from './definition.ts'
import { detach, type JsonLimits, jsonIssues } from './json.ts'
import type { Kind } from './kind.ts'

/** A payload before and after its schema: as the caller gave it, detached, and as the machine will get it. */
export interface Parsed<T> {
  readonly given: unknown
  readonly parsed: T
}

/** Checks what `create` was given. Throws `invalid_input` with all issues. */
export function parseInput(kind: Kind, input: unknown, limits: JsonLimits): Parsed<JsonObject> {
  const given = plainJson(kind, 'the input', input ?? {}, limits)
  return { given, parsed: throughSchema(kind, 'the input', kind.input, given) as JsonObject }
}

/** Checks a command. Throws `invalid_input` with all issues; an unknown command is one. */
export function parseCommand(kind: Kind, command: unknown, limits: JsonLimits): Parsed<Command> {
  const given = plainJson(kind, 'the command', command, limits)
  const { type, ...payload } = requireType(kind, given)
  // Refused as reserved later: what does not exist here still is not the caller's to send.
  if (type.startsWith('xstate.')) return { given, parsed: { ...payload, type } }
  const schema = kind.commands.get(type)
  if (schema === undefined) throw unknownCommand(kind, type)
  const parsed = throughSchema(kind, `the command "${type}"`, schema, payload)
  return { given, parsed: { ...(parsed as JsonObject), type } }
}

function requireType(kind: Kind, given: unknown): Command {
  const isObject = typeof given === 'object' && given !== null && !Array.isArray(given)
  if (isObject && 'type' in given && typeof given.type === 'string') return given as Command
  const message = `has to be an object with a "type", one of: ${knownCommands(kind)}`
  throw invalidInput(of(kind, 'the command'), [{ path: ['type'], code: 'invalid_type', message }])
}

function knownCommands({ commands, internal }: Kind): string {
  return [...commands.keys()].filter((command) => !internal.has(command)).join(', ')
}

function unknownCommand(kind: Kind, type: string): Error {
  const message = `${JSON.stringify(type)} is not a command of ${kind.type} (commands: ${knownCommands(kind)})`
  return invalidInput(of(kind, 'the command'), [
    { path: ['type'], code: 'unknown_command', message },
  ])
}

/** What was given, as messages name it. */
function of({ type }: Kind, what: string): string {
  return `${what} of ${withArticle(type)}`
}

function plainJson(kind: Kind, what: string, value: unknown, limits: JsonLimits): unknown {
  const { copy, issues } = detach(value, limits)
  if (issues.length > 0) throw invalidInput(of(kind, what), issues)
  return copy
}

function throughSchema(kind: Kind, what: string, schema: Schema, value: unknown): unknown {
  const result = validated(kind, what, schema, value)
  if (result instanceof Promise) {
    throw machineInvalid(
      kind.type,
      `the schema of ${of(kind, what)} validates asynchronously; use a synchronous one`,
    )
  }
  if (result.issues !== undefined) {
    throw invalidInput(
      of(kind, what),
      result.issues.map((issue) => discreet(kind, toIssue(issue))),
    )
  }
  const [issue] = jsonIssues(result.value)
  if (issue === undefined) return result.value
  const where = issue.path.join('.')
  throw machineInvalid(
    kind.type,
    `the schema of ${of(kind, what)} gives what cannot be stored: ${where} ${issue.message}`,
  )
}

/** Schema libraries may quote what they were given: of a secret, only the place is told. */
function discreet(kind: Kind, issue: Issue): Issue {
  const place = issue.path.join('.')
  const isSecret = [...kind.secrets.values()].some(
    (secret) => 'path' in secret && `${place}.`.startsWith(`${secret.path}.`),
  )
  return isSecret ? { ...issue, message: 'is not valid' } : issue
}

function validated(kind: Kind, what: string, schema: Schema, value: unknown) {
  try {
    return schema['~standard'].validate(value)
  } catch (cause) {
    throw machineInvalid(kind.type, `the schema of ${of(kind, what)} threw`, cause)
  }
}

function toIssue(issue: SchemaIssue): Issue {
  const path = (issue.path ?? []).map((part) => (typeof part === 'object' ? part.key : part))
  // Not part of Standard Schema, but zod and others say it.
  const code = 'code' in issue && typeof issue.code === 'string' ? issue.code : 'invalid'
  return {
    path: path.map((key) => (typeof key === 'number' ? key : String(key))),
    code,
    message: issue.message,
  }
}
