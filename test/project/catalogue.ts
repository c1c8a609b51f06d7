/** What does the page about the built-in resources say? @module */

import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { z } from 'zod'
import { agentPlatform } from '../../machines/index.ts'
import type { ResourceDefinition, Schema } from '../../src/core/definition.ts'
import { describe } from '../../src/core/describe/describe.ts'
import type {
  DescribedCommand,
  DescribedTransition,
  Description,
} from '../../src/core/describe/description.ts'
import { shownDuration } from '../../src/core/describe/text.ts'
import { createRegistry } from '../../src/core/registry.ts'
import { root } from './program.ts'

/** Where the page is. */
export const PAGE = join(root, 'machines/README.md')

interface Contract {
  readonly about: string
  readonly fields: Readonly<Record<string, string>>
  readonly summary: readonly string[]
  readonly timers: readonly { readonly name: string; readonly after: string }[]
}

interface Resource {
  readonly property: string
  readonly definition: ResourceDefinition
  readonly description: Description
  readonly contract: Contract
}

/** The page, made of the machines and of what their contract says about fields. */
export function catalogue(): string {
  const resources = builtIn()
  const links = resources.map(({ description: { type } }) => `[${type}](#${type})`)
  const events = resources.flatMap(({ description }) => description.events)
  const sections = [
    '# The built-in resources',
    `The ${resources.length} resources of \`agentPlatform()\`, and the ${events.length} events that they report. This page is made of the machines beside it, by \`npm run docs\`; \`engine.describe(type)\` gives the same as data, for resources of your own as well.`,
    `${links.join(' · ')} · [events](#events)`,
    HOW_TO_READ,
    ...resources.flatMap(resourceSection),
    '## Events',
    EVENTS,
    ...resources.flatMap(eventSection),
  ]
  return `${sections.join('\n\n')}\n`
}

const HOW_TO_READ = `In a diagram, what stands on an arrow leads on: a command, or \`after\` and a timer. What stands within a status is accepted there as well, and leads nowhere. A name in brackets is a guard, which has to agree. Commands that are marked *internal* are sent by other resources only.`

const EVENTS = `Each event is \`{ id, object: 'event', type, data, created_at }\`. Its \`data\` is what the resource looked like at that moment: always \`id\`, \`object\` (the type of the resource), \`status\`, \`created_at\` and \`updated_at\`, and the fields that are listed with the events of each resource.`

function builtIn(): Resource[] {
  const definitions = agentPlatform()
  const contracts = JSON.parse(
    readFileSync(join(root, 'test/machines/lifecycles.json'), 'utf8'),
  ) as { readonly resources: Readonly<Record<string, Contract>> }
  const { byProperty } = createRegistry({ ...definitions }, () => '')
  return [...byProperty].map(([property, kind]) => {
    const contract = contracts.resources[kind.type]
    if (contract === undefined) throw new Error(`${kind.type} has no contract`)
    const definition = definitions[property as keyof typeof definitions]
    return { property, definition, description: describe(kind), contract }
  })
}

function resourceSection({ property, definition, description, contract }: Resource): string[] {
  const { type, prefix, states, commands, events, mermaid } = description
  const named = states.filter(({ status }) => status !== null)
  return [
    `## ${type}`,
    `${contract.about} Its handle is \`engine.${property}\`, its ids are \`${prefix}_…\`.`,
    ['```mermaid', mermaid, '```'].join('\n'),
    table(
      ['status', 'means'],
      named.map((state) => [code(state.status ?? ''), state.description ?? '']),
    ),
    table(
      ['command', 'takes', 'in', 'does'],
      [
        [code('create'), payloadOf(definition.input), '', textOf(definition.input)],
        ...commands.map((command) => commandRow(description, definition, command)),
      ],
    ),
    ...timerTable(description, contract),
    `[Events](#${type}-events): ${events.map((event) => code(event.type)).join(', ')}.`,
  ]
}

function commandRow(
  description: Description,
  definition: ResourceDefinition,
  { name, internal, states, description: text }: DescribedCommand,
): string[] {
  const schema = definition.commands[name]
  return [
    internal ? `${code(name)} *internal*` : code(name),
    schema === undefined ? '' : payloadOf(schema),
    states.flatMap((id) => statusesIn(description, id)).join(', '),
    text ?? '',
  ]
}

/** The names of what a schema takes, those with a question mark that may be left out. */
function payloadOf(schema: Schema): string {
  const { properties = {}, required = [] } = z.toJSONSchema(schema as unknown as z.ZodType, {
    io: 'input',
    unrepresentable: 'any',
  })
  const names = Object.keys(properties).map((name) => (required.includes(name) ? name : `${name}?`))
  return names.map(code).join(', ')
}

function textOf(schema: Schema): string {
  return (schema as { readonly description?: string }).description ?? ''
}

function timerTable(description: Description, contract: Contract): string[] {
  const rows = description.timers.map(({ name, state, delay, to }) => {
    const ways = description.transitions.filter(({ kind, on }) => kind === 'timer' && on === name)
    const after = contract.timers.find((timer) => timer.name === name)?.after ?? ''
    return [
      code(name),
      statusesIn(description, state).join(', '),
      delay === null ? prose(after) : shownDuration(delay),
      to.join(', '),
      [...new Set(ways.flatMap(({ emits }) => emits))].map(code).join(', '),
    ]
  })
  return rows.length === 0 ? [] : [table(['timer', 'runs in', 'for', 'leads to', 'event'], rows)]
}

function eventSection({ description, contract }: Resource): string[] {
  const { type, events } = description
  const own = contract.summary.filter((field) => Object.hasOwn(contract.fields, field))
  return [
    `### ${type} events`,
    table(
      ['event', 'happens on'],
      events.map((event) => [code(event.type), occasions(description, event.type).join('; ')]),
    ),
    table(
      ['in `data`', 'holds'],
      own.map((field) => [code(field), prose(contract.fields[field] ?? '')]),
    ),
  ]
}

/** What leads to an event: the create, commands and timers, each with the statuses in which it does. */
function occasions(description: Description, type: string): string[] {
  const statuses = new Map<string, string[]>()
  for (const transition of description.transitions) {
    if (!transition.emits.includes(type)) continue
    const occasion = occasionOf(transition)
    const known = statuses.get(occasion) ?? []
    statuses.set(occasion, [...known, ...statusesIn(description, transition.from)])
  }
  const created = description.initial.emits.includes(type) ? [code('create')] : []
  return [...created, ...[...statuses].map(([occasion, in_]) => `${occasion} in ${in_.join(', ')}`)]
}

function occasionOf({ kind, on, guard }: DescribedTransition): string {
  const trigger = on === null ? kind : code(on)
  const condition = guard === null ? '' : ` if ${code(guard)}`
  return `${kind === 'timer' ? 'the timer ' : ''}${trigger}${condition}`
}

function statusesIn({ states }: Description, id: string): string[] {
  const within = states.filter((state) => state.id === id || state.id.startsWith(`${id}.`))
  return within.flatMap(({ status }) => status ?? [])
}

/** Text that Markdown is not to take for emphasis or HTML. */
function prose(text: string): string {
  return text.replaceAll(/[*<]/g, '\\$&')
}

function code(text: string): string {
  return `\`${text}\``
}

function table(head: readonly string[], rows: readonly (readonly string[])[]): string {
  const lines = [head, head.map(() => '---'), ...rows]
  return lines
    .map((cells) => `| ${cells.map((cell) => cell.replaceAll('|', '\\|')).join(' | ')} |`)
    .join('\n')
}
