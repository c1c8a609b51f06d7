/** What does the engine derive, once, from a resource definition? @module */

import { isPawlError, machineInvalid, messageOf, shown } from '../errors.ts'
import type {
  Check,
  Companion,
  JsonObject,
  Migration,
  Reference,
  ResourceDefinition,
  Schema,
  Secret,
} from './definition.ts'
import type { FixedStep } from './fixed-steps.ts'
import type { Machine } from './machine.ts'
import { allStates, causeOf, type StateNode, staticEmits } from './structure.ts'
import type { Snapshot } from './xstate.ts'

/** A registered resource definition and what follows from it. */
export interface Kind {
  readonly type: string
  readonly prefix: string
  readonly input: Schema
  readonly commands: ReadonlyMap<string, Schema>
  readonly internal: ReadonlySet<string>
  readonly machine: Machine
  /** The public event types. */
  readonly events: ReadonlySet<string>
  /** The context fields that events show; undefined for all public ones. */
  readonly summary: ReadonlySet<string> | undefined
  readonly private: ReadonlySet<string>
  readonly references: ReadonlyMap<string, Reference>
  readonly companions: ReadonlyMap<string, Companion>
  readonly secrets: ReadonlyMap<string, Secret>
  /** Whether any of them is stored. */
  readonly keepsSecrets: boolean
  readonly check: (command: string) => Check | undefined
  readonly status: ((state: { value: unknown; context: JsonObject }) => string) | undefined
  /** Every status that the machine can have; empty when a definition names statuses itself. */
  readonly statuses: readonly string[]
  readonly version: number
  /** What takes a resource from a version to the next, the lowest version first. */
  readonly migrations: ReadonlyMap<number, Migration>
  /** The machine's version and structure, as rows carry it. */
  readonly fingerprint: string
  /** What can be the cause of a change: its commands, and the names of its timers. */
  readonly causes: readonly string[]
  /** The machine's state nodes by their ids. */
  readonly nodes: ReadonlyMap<string, StateNode>
  /** Steps that are the same for every resource, by command and state value; null for those that are not. */
  readonly fixedSteps: Map<string, FixedStep | null>
  /** Snapshots without a context, by state value: building one walks the whole machine. */
  readonly snapshots: Map<string, Snapshot>
}

// One command may take this many microsteps; after that the machine is looping.
const MICROSTEPS = 1000

/** Derives a kind. `digest` shortens the machine's structure to something that rows can carry. */
export function toKind(
  definition: ResourceDefinition,
  digest: (structure: string) => string,
): Kind {
  const machine = boundedCopy(definition.type, definition.machine)
  const nodes = new Map(allStates(machine).map((node) => [node.id, node]))
  const { status, check, version = 1 } = definition
  return {
    type: definition.type,
    prefix: definition.prefix,
    input: definition.input,
    commands: new Map(Object.entries(definition.commands)),
    internal: new Set(definition.internal),
    machine,
    events: new Set(definition.events ?? staticEmits(machine)),
    summary: definition.summary && new Set(definition.summary),
    private: new Set(definition.private),
    references: new Map(
      Object.entries(definition.references ?? {}).map(([field, to]) => [field, toReference(to)]),
    ),
    companions: new Map(Object.entries(definition.companion ?? {})),
    secrets: new Map(Object.entries(definition.secrets ?? {})),
    keepsSecrets: Object.values(definition.secrets ?? {}).some(isKept),
    check: (command) => (typeof check === 'function' ? check : ownCheck(check, command)),
    status: status && ((state) => status(state)),
    statuses: status ? [] : statusesOf(machine),
    version,
    migrations: migrationsOf(definition),
    fingerprint: `${version}:${digest(structureOf(machine, definition.references ?? {}))}`,
    causes: causesOf(nodes, Object.keys(definition.commands)),
    nodes,
    fixedSteps: new Map(),
    snapshots: new Map(),
  }
}

/** Runs a function of a definition; what it throws becomes an error that names the definition. */
export function calling<T>(kind: Pick<Kind, 'type'>, name: string, run: () => T): T {
  try {
    return run()
  } catch (error) {
    if (isPawlError(error)) throw error
    const message = messageOf(error)
    throw machineInvalid(kind.type, `its ${name} threw: ${message}`, error)
  }
}

function ownCheck(
  checks: Readonly<Record<string, Check>> | undefined,
  command: string,
): Check | undefined {
  return checks !== undefined && Object.hasOwn(checks, command) ? checks[command] : undefined
}

function isKept(secret: Secret): boolean {
  return 'generate' in secret || (secret.keep ?? true)
}

function toReference(to: string | Reference): Reference {
  return typeof to === 'string' ? { type: to } : to
}

function migrationsOf({ type, migrate = {} }: ResourceDefinition): Map<number, Migration> {
  if (typeof migrate !== 'object' || migrate === null)
    throw machineInvalid(type, 'its migrate has to be an object of functions, by version')
  const steps = Object.entries(migrate).map(([version, to]) => [Number(version), to] as const)
  return new Map(steps.sort(([one], [other]) => one - other))
}

/** The same machine with a bound on its microsteps; the user's own object stays as it is. */
function boundedCopy(type: string, machine: Machine): Machine {
  const delays = Object.entries(machine.implementations.delays)
  const copy: Machine = machine.provide({
    delays: Object.fromEntries(delays.map(([name, delay]) => [name, finite(type, name, delay)])),
  })
  // The step that finds nothing left to do counts as well.
  copy.options = {
    ...copy.options,
    maxIterations: Math.min(copy.options.maxIterations ?? Infinity, MICROSTEPS + 1),
  }
  return copy
}

/** A delay that is no number would be taken for none: the event would come at once. */
function finite(type: string, name: string, delay: unknown) {
  return (...args: readonly unknown[]): number => {
    const milliseconds: unknown = typeof delay === 'function' ? delay(...args) : delay
    if (typeof milliseconds === 'number' && Number.isFinite(milliseconds)) return milliseconds
    throw machineInvalid(
      type,
      `its delay "${name}" is ${shown(milliseconds)} instead of a number of milliseconds`,
    )
  }
}

function statusesOf(machine: Machine): string[] {
  const names = new Set<string>()
  for (const state of allStates(machine)) {
    const leaf = state.type === 'atomic' || state.type === 'final'
    const inParallel = ancestors(state).some(({ type }) => type === 'parallel')
    if (!inParallel && (leaf || state.type === 'parallel'))
      names.add(state.parent ? state.key : 'active')
  }
  return [...names]
}

function ancestors({ parent }: StateNode): StateNode[] {
  return parent ? [parent, ...ancestors(parent)] : []
}

function causesOf(nodes: ReadonlyMap<string, StateNode>, commands: readonly string[]): string[] {
  const handled = [...nodes.values()].flatMap(({ transitions }) => [...transitions.keys()])
  return [
    ...new Set([
      'create',
      'reveal',
      'migrate',
      ...commands,
      ...handled.map((type) => causeOf(nodes, type)),
    ]),
  ]
}

/** A text that changes when states, transitions or timers of the machine change, or what it refers to. */
function structureOf(machine: Machine, references: NonNullable<ResourceDefinition['references']>) {
  const targets = ({ target }: { readonly target?: readonly StateNode[] | undefined }) =>
    target?.map(({ id }) => id)
  const states = allStates(machine).map((state) => ({
    id: state.id,
    type: state.type,
    history: state.history,
    initial: state.type === 'compound' ? targets(state.initial) : undefined,
    always: state.always?.map(targets),
    transitions: [...state.transitions.values()]
      .flat()
      .map((transition) => [transition.eventType, targets(transition)]),
  }))
  const fields = Object.entries(references).map(([field, to]) => [field, toReference(to).type])
  return JSON.stringify({ states, references: fields })
}
