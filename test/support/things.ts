import type { AnyStateMachine } from 'xstate'
import { z } from 'zod'
import { define } from './define.ts'
import { handleOf, setupEngine } from './engine.ts'

/** The schema of a command without a payload. */
export const nothing = z.strictObject({})

/** A resource called thing, with commands that take nothing but an optional number. */
export function thing(machine: AnyStateMachine, parts: object = {}) {
  const go = z.strictObject({ n: z.number().optional(), kind: z.string().optional() })
  return define({
    ...{ type: 'thing', prefix: 'thg', input: nothing, commands: { go, rest: nothing }, machine },
    ...parts,
  })
}

/** Options of an engine that knows things alone. */
export function withThings(machine: AnyStateMachine, parts: object = {}) {
  return { resources: { things: thing(machine, parts) } }
}

/** Opens an engine with one thing. */
export async function openThing(
  machine: AnyStateMachine,
  parts: object = {},
  options: object = {},
) {
  const engine = await setupEngine({ ...withThings(machine, parts), ...options })
  const things = handleOf(engine, 'things')
  return { engine, things, id: (await things.create({})).resource.id }
}

/** Throws, as user code may at any place. */
export function explode(): never {
  throw new Error('the machine exploded')
}

/** The message of the error that an error comes from. */
export function rootCause(error: unknown): string {
  const { cause, message } = error as Error
  return cause === undefined ? message : rootCause(cause)
}
