import { expect } from 'vitest'
import {
  type AnyEvent,
  type AnyOutcome,
  type AnyResource,
  type AnyTestEngine,
  type Command,
  fullLog,
  handleOf,
} from './engine.ts'
import { failureOf } from './errors.ts'

export interface Story {
  readonly name: string
  readonly steps: readonly Step[]
}

type Fields = Readonly<Record<string, unknown>>
type ExpectedEvent =
  | string
  | { readonly type: string; readonly of?: string; readonly data?: Fields }

export interface Step {
  readonly create?: string
  readonly input?: unknown
  readonly as?: string
  readonly send?: string
  readonly command?: Command
  readonly advance?: string | number
  readonly get?: string
  readonly name?: string
  readonly is?: string
  readonly in?: string
  readonly events?: readonly ExpectedEvent[]
  readonly status?: string
  readonly changed?: boolean
  readonly fields?: Fields
  readonly refused?: Fields
}

interface Named {
  readonly id: string
  readonly property: string
}

interface Telling {
  engine: AnyTestEngine
  readonly names: Map<string, Named>
}

/** What one step gave; `outcome` only for commands, `resource` only where there is one. */
interface Done {
  readonly outcome?: AnyOutcome
  readonly resource?: AnyResource
}

/** Tells a story step by step, calling `between` before each step but the first. */
export async function tellStory(
  story: Story,
  engine: AnyTestEngine,
  between: (engine: AnyTestEngine) => Promise<AnyTestEngine> = async (same) => same,
): Promise<AnyTestEngine> {
  const telling: Telling = { engine, names: new Map() }
  for (const [index, step] of story.steps.entries()) {
    if (index > 0) telling.engine = await between(telling.engine)
    await takeStep(telling, step, `step ${index + 1}: ${JSON.stringify(step)}`)
  }
  return telling.engine
}

async function takeStep(telling: Telling, step: Step, label: string): Promise<void> {
  const before = await fullLog(telling.engine)
  if (step.refused !== undefined) {
    const error = await failureOf(() => perform(telling, step))
    expect(error, label).toMatchObject((await resolve(telling, step.refused)) as object)
    expect(await fullLog(telling.engine), `${label}: the log`).toEqual(before)
    return
  }

  const done = await perform(telling, step)
  const entries = (await fullLog(telling.engine)).slice(before.length)
  const caused = entries.filter((entry) => !entry.internal)
  await checkResource(telling, step, done, label)
  if (done.outcome) expect(done.outcome.events, `${label}: the outcome`).toEqual(caused)
  if (step.events) await checkEvents(telling, step.events, caused, label)
}

async function perform(telling: Telling, step: Step): Promise<Done> {
  if (step.create !== undefined) return create(telling, step, step.create)
  if (step.send !== undefined) return send(telling, step, step.send)
  if (step.get !== undefined) return { resource: await load(telling, step.get) }
  if (step.advance !== undefined) await telling.engine.clock.advance(step.advance)
  else if (step.name !== undefined) await giveName(telling, step, step.name)
  else throw new Error(`a step of no known form: ${JSON.stringify(step)}`)
  return {}
}

async function create(telling: Telling, step: Step, property: string): Promise<Done> {
  const input = await resolve(telling, step.input ?? {})
  const outcome = await handleOf(telling.engine, property).create(input)
  if (step.as !== undefined) telling.names.set(step.as, { id: outcome.resource.id, property })
  return { outcome, resource: outcome.resource }
}

async function send(telling: Telling, step: Step, name: string): Promise<Done> {
  const { id, property } = named(telling, name)
  const command = (await resolve(telling, step.command)) as Command
  const outcome = await handleOf(telling.engine, property).send(id, command)
  return { outcome, resource: outcome.resource }
}

async function giveName(telling: Telling, step: Step, name: string): Promise<void> {
  const id = await resolve(telling, step.is)
  if (typeof id !== 'string' || step.in === undefined) throw new Error(`${name} names nothing`)
  telling.names.set(name, { id, property: step.in })
}

async function checkResource(
  telling: Telling,
  step: Step,
  done: Done,
  label: string,
): Promise<void> {
  if (step.status !== undefined) expect(done.resource?.status, label).toBe(step.status)
  if (step.changed !== undefined) expect(done.outcome?.changed, label).toBe(step.changed)
  if (step.fields === undefined) return
  expect(done.resource, label).toMatchObject((await resolve(telling, step.fields)) as object)
}

async function checkEvents(
  telling: Telling,
  expected: readonly ExpectedEvent[],
  caused: readonly AnyEvent[],
  label: string,
): Promise<void> {
  const types = expected.map((event) => (typeof event === 'string' ? event : event.type))
  expect(
    caused.map((event) => event.type),
    label,
  ).toEqual(types)
  for (const [index, event] of expected.entries()) {
    if (typeof event === 'string') continue
    const actual = caused[index]
    if (event.of) expect(actual?.resource_id, label).toBe(named(telling, event.of).id)
    if (event.of) expect(actual?.data.id, label).toBe(named(telling, event.of).id)
    if (event.data) {
      expect(actual?.data, label).toMatchObject((await resolve(telling, event.data)) as object)
    }
  }
}

function named(telling: Telling, name: string): Named {
  const found = telling.names.get(name)
  if (found === undefined) throw new Error(`the story has not named ${name} yet`)
  return found
}

function load(telling: Telling, name: string): Promise<AnyResource> {
  const { id, property } = named(telling, name)
  return handleOf(telling.engine, property).get(id)
}

/** Replaces `$name` and `$name.field` in every string of a value. */
async function resolve(telling: Telling, value: unknown): Promise<unknown> {
  if (typeof value === 'string') return resolveText(telling, value)
  if (Array.isArray(value)) return Promise.all(value.map((item) => resolve(telling, item)))
  if (typeof value !== 'object' || value === null) return value
  const entries = Object.entries(value).map(async ([key, item]) => [
    key,
    await resolve(telling, item),
  ])
  return Object.fromEntries(await Promise.all(entries))
}

const REFERENCE = /\$([A-Za-z]\w*)(?:\.(\w+))?/g

async function resolveText(telling: Telling, text: string): Promise<unknown> {
  let result = text
  for (const [match, name = '', field] of text.matchAll(REFERENCE)) {
    if (!telling.names.has(name)) continue
    const value = field === undefined ? named(telling, name).id : (await load(telling, name))[field]
    if (match === text) return value
    result = result.replace(match, () => String(value))
  }
  return result
}
