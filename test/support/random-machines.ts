import fc from 'fast-check'
import {
  type AnyStateMachine,
  assign,
  cancel,
  createMachine,
  emit,
  enqueueActions,
  raise,
} from 'xstate'

/**
 * Machines as data: a tree of states and what happens in them. Indices are taken modulo what
 * there is, so that every tree is a machine and stays one while fast-check shrinks it.
 */
export interface Blueprint {
  readonly kind: 'compound' | 'parallel' | 'atomic'
  readonly children: readonly Blueprint[]
  readonly history: 'none' | 'shallow' | 'deep'
  readonly ends: boolean
  readonly on: readonly Rule[]
  readonly after: readonly Rule[]
  readonly always: readonly Rule[]
  readonly done: readonly Rule[]
  readonly entry: readonly Act[]
  readonly exit: readonly Act[]
}

export interface Rule {
  readonly event: number
  readonly target: number | null
  readonly reenter: boolean
  readonly guard: 'none' | 'even' | 'payload'
  readonly acts: readonly Act[]
}

export type Act =
  | { readonly do: 'emit' | 'emitIfEven' | 'raise' | 'cancel'; readonly n: number }
  | { readonly do: 'count'; readonly n: number }
  | { readonly do: 'delay'; readonly n: number; readonly delay: number; readonly named: boolean }

export const COMMANDS = ['c0', 'c1', 'c2', 'c3']
export const RAISED = ['r0', 'r1', 'd0', 'd1']
export const EMITTED = ['gen.e0', 'gen.e1', 'gen.e2']

const DELAYS = ['0', '10', '25', 'short', 'counted']
const NUMBERS = [0, 5, 10, 25]
const FUEL = 4

export interface Context {
  readonly trace: readonly string[]
  readonly count: number
  readonly fuel: number
}

const actArbitrary: fc.Arbitrary<Act> = fc.oneof(
  fc.record({ do: fc.constantFrom('emit', 'emitIfEven', 'raise', 'cancel'), n: fc.nat(5) }),
  fc.record({ do: fc.constant('count' as const), n: fc.nat(2) }),
  fc.record({
    do: fc.constant('delay' as const),
    n: fc.nat(1),
    delay: fc.nat(4),
    named: fc.boolean(),
  }),
)

const acts = fc.array(actArbitrary, { maxLength: 3 })

const ruleArbitrary: fc.Arbitrary<Rule> = fc.record({
  event: fc.nat(7),
  target: fc.option(fc.nat(30)),
  reenter: fc.boolean(),
  guard: fc.constantFrom('none', 'none', 'even', 'payload'),
  acts,
})

function rules(maxLength: number): fc.Arbitrary<Rule[]> {
  return fc.array(ruleArbitrary, { maxLength })
}

function nodeArbitrary(
  kind: fc.Arbitrary<Blueprint['kind']>,
  children: fc.Arbitrary<Blueprint[]>,
): fc.Arbitrary<Blueprint> {
  return fc.record({
    kind,
    children,
    history: fc.constantFrom('none', 'shallow', 'deep'),
    ends: fc.boolean(),
    on: rules(4),
    after: rules(2),
    always: rules(1),
    done: rules(1),
    entry: acts,
    exit: acts,
  })
}

function treeArbitrary(depth: number): fc.Arbitrary<Blueprint> {
  const leaf = nodeArbitrary(fc.constant('atomic'), fc.constant([]))
  if (depth === 0) return leaf
  const child = treeArbitrary(depth - 1)
  const children = fc.array(child, { minLength: 1, maxLength: 3 })
  return fc.oneof(
    { weight: 2, arbitrary: leaf },
    { weight: 2, arbitrary: nodeArbitrary(fc.constantFrom('compound', 'parallel'), children) },
  )
}

/** Trees of states of at most three levels below the root. */
export const blueprintArbitrary: fc.Arbitrary<Blueprint> = nodeArbitrary(
  fc.constantFrom('compound', 'compound', 'parallel'),
  fc.array(treeArbitrary(2), { minLength: 1, maxLength: 4 }),
)

type Config = Record<string, unknown>

interface Building {
  readonly names: readonly string[]
  next: number
}

/** Makes the machine that a blueprint describes, each time from nothing, as a new process would. */
export function buildMachine(blueprint: Blueprint): AnyStateMachine {
  const names = namesOf(blueprint)
  const root = toConfig(blueprint, { names, next: 0 })
  const config = { ...root, id: 'n0', context: { trace: [], count: 0, fuel: FUEL } }
  const counted = ({ context }: { context: Context }) => 10 * (context.count % 4)
  return createMachine(config, { delays: { short: 5, counted } } as object)
}

/** The ids of all states that a transition may aim at, in document order; the root is not one. */
function namesOf(blueprint: Blueprint): string[] {
  const names: string[] = []
  collectNames(blueprint, names, { names: [], next: 0 })
  return names.slice(1)
}

function collectNames(node: Blueprint, names: string[], building: Building): void {
  const name = `n${building.next++}`
  names.push(name)
  for (const child of node.children) collectNames(child, names, building)
  if (node.kind === 'atomic') return
  if (node.history !== 'none') names.push(`${name}h`)
  if (node.ends && node.kind === 'compound') names.push(`${name}f`)
}

function toConfig(node: Blueprint, building: Building): Config {
  const name = `n${building.next++}`
  const children = node.children.map((child) => {
    const key = `n${building.next}`
    return [key, toConfig(child, building)] as const
  })
  return {
    id: name,
    entry: [mark(`+${name}`), ...node.entry.flatMap(toActions)],
    exit: [mark(`-${name}`), ...node.exit.flatMap(toActions)],
    on: grouped(node.on, (rule) => eventOf(rule.event), building),
    after: grouped(node.after, (rule) => DELAYS[rule.event % DELAYS.length] ?? '0', building),
    always: node.always.map((rule) => toTransition(rule, building, 'spends')),
    ...(node.kind === 'atomic' ? {} : inner(node, name, children, building)),
  }
}

function inner(
  node: Blueprint,
  name: string,
  children: readonly (readonly [string, Config])[],
  building: Building,
): Config {
  const states: Record<string, Config> = Object.fromEntries(children)
  if (node.history !== 'none') {
    states[`${name}h`] = { id: `${name}h`, type: 'history', history: node.history }
  }
  if (node.ends && node.kind === 'compound') {
    states[`${name}f`] = { id: `${name}f`, type: 'final', entry: mark(`+${name}f`) }
  }
  const onDone = node.done.map((rule) => toTransition(rule, building, 'spends'))
  const nested = name === 'n0' ? {} : { onDone }
  if (node.kind === 'parallel') return { type: 'parallel', states, ...nested }
  return { initial: children[0]?.[0], states, ...nested }
}

function eventOf(index: number): string {
  return [...COMMANDS, ...RAISED][index % 8] ?? 'c0'
}

function grouped(
  rules: readonly Rule[],
  keyOf: (rule: Rule) => string,
  building: Building,
): Record<string, Config[]> {
  const groups: Record<string, Config[]> = {}
  for (const rule of rules) {
    const key = keyOf(rule)
    const kind = COMMANDS.includes(key) ? 'refuels' : 'spends'
    groups[key] = [...(groups[key] ?? []), toTransition(rule, building, kind)]
  }
  return groups
}

/** Only commands bring fuel and all else burns it, so that every cascade comes to an end. */
function toTransition(rule: Rule, { names }: Building, kind: 'refuels' | 'spends'): Config {
  const refuels = kind === 'refuels'
  const fuel = refuels
    ? assign({ fuel: FUEL })
    : assign({ fuel: ({ context }) => context.fuel - 1 })
  const target = rule.target === null ? {} : { target: `#${names[rule.target % names.length]}` }
  return {
    ...target,
    reenter: rule.reenter,
    guard: guardOf(rule, !refuels),
    actions: [...(rule.acts.length > 0 || !refuels ? [fuel] : []), ...rule.acts.flatMap(toActions)],
  }
}

interface GuardArgs {
  readonly context: Context
  readonly event: { readonly n?: number }
}

function guardOf(rule: Rule, spends: boolean) {
  return ({ context, event }: GuardArgs): boolean => {
    if (spends && context.fuel <= 0) return false
    if (rule.guard === 'even') return context.count % 2 === 0
    if (rule.guard === 'payload') return (event.n ?? 0) % 2 === 1
    return true
  }
}

function mark(text: string) {
  return assign({ trace: ({ context }: { context: Context }) => [...context.trace, text] })
}

function toActions(act: Act): unknown[] {
  const event = { type: RAISED[act.n % 2] ?? 'r0' }
  const emitted = { type: EMITTED[act.n % EMITTED.length] ?? 'gen.e0' }
  switch (act.do) {
    case 'emit':
      return [emit(emitted)]
    case 'emitIfEven':
      return [emitIfEven(emitted)]
    case 'raise':
      return [raise(event)]
    case 'cancel':
      return [cancel(`t${act.n % 2}`)]
    case 'count':
      return [assign({ count: ({ context }: { context: Context }) => context.count + act.n })]
    case 'delay':
      return delayed(act.n, act.delay, act.named)
  }
}

function emitIfEven(emitted: { type: string }) {
  return enqueueActions(({ context, enqueue }) => {
    if ((context as Context).count % 2 === 0) enqueue.emit(emitted)
  })
}

/** A named timer is canceled first, since XState keeps two timers of one name apart. */
function delayed(n: number, index: number, named: boolean): unknown[] {
  const event = { type: RAISED[2 + (n % 2)] ?? 'd0' }
  const delay = NUMBERS[index] ?? (({ context }: { context: Context }) => context.count * 10)
  if (!named) return [raise(event, { delay } as object)]
  return [cancel(`t${n % 2}`), raise(event, { delay, id: `t${n % 2}` } as object)]
}
