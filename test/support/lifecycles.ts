import { readFileSync } from 'node:fs'

export interface Row {
  readonly from: string
  readonly command: string
  readonly to: string
  readonly event: string | null
  readonly note?: string
}

export interface Lifecycle {
  readonly prefix: string
  readonly property: string
  readonly summary: readonly string[]
  readonly create: { readonly status: string; readonly event: string | null }
  readonly statuses: Readonly<Record<string, { readonly terminal: boolean }>>
  readonly commands: Readonly<Record<string, { readonly internal: boolean }>>
  readonly transitions: readonly Row[]
  readonly timers: readonly { readonly name: string; readonly after: string }[]
}

interface Lifecycles {
  readonly events: readonly string[]
  readonly resources: Readonly<Record<string, Lifecycle>>
}

const file = new URL('../machines/lifecycles.json', import.meta.url)

/** The contract of the eight built-in resources, as data. */
export const lifecycles = JSON.parse(readFileSync(file, 'utf8')) as Lifecycles

/** What the engine itself sends, by resource; the published contract does not know of it. */
const OWN: Readonly<Record<string, Pick<Lifecycle, 'commands' | 'transitions'>>> = {
  event_destination: {
    commands: { fail_verification: { internal: true } },
    transitions: [
      {
        ...{ from: 'pending_verification', command: 'fail_verification' },
        ...{ to: 'pending_verification', event: null },
      },
    ],
  },
}

/** The contract of one resource, with the commands that the engine itself sends after its own. */
export function lifecycleOf(type: string): Lifecycle {
  const lifecycle = lifecycles.resources[type]
  if (lifecycle === undefined) throw new Error(`no lifecycle for ${type}`)
  const own = OWN[type] ?? { commands: {}, transitions: [] }
  const commands = { ...lifecycle.commands, ...own.commands }
  return { ...lifecycle, commands, transitions: [...lifecycle.transitions, ...own.transitions] }
}

/** The rows of the contract for a command in a status; none when it is illegal there. */
export function rowsOf(type: string, status: string, command: string): readonly Row[] {
  return lifecycleOf(type).transitions.filter(
    (row) => row.from === status && row.command === command,
  )
}

/** Every (status, command) pair of a resource. */
export function pairsOf(type: string): { readonly status: string; readonly command: string }[] {
  const { statuses, commands } = lifecycleOf(type)
  return Object.keys(statuses).flatMap((status) =>
    Object.keys(commands).map((command) => ({ status, command })),
  )
}

export function isTerminal(type: string, status: string): boolean {
  return lifecycleOf(type).statuses[status]?.terminal ?? false
}

export function isInternal(type: string, command: string): boolean {
  return lifecycleOf(type).commands[command]?.internal ?? false
}
