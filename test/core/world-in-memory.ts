import type { ResourceDefinition } from '../../src/core/definition.ts'
import type { Kind } from '../../src/core/kind.ts'
import { createOverlay, goBack, markOf, type Overlay } from '../../src/core/overlay.ts'
import {
  type CreateRequest,
  type Planned,
  planCreate,
  planSend,
  planTimer,
  type Result,
  type SendRequest,
} from '../../src/core/plan.ts'
import type { Answers, Plan, Question } from '../../src/core/questions.ts'
import { createRegistry } from '../../src/core/registry.ts'
import type {
  Entry,
  OutcomeRow,
  ResourceRow,
  Timer,
  TimerChange,
  TimerRow,
} from '../../src/core/rows.ts'
import type { Run, Vault } from '../../src/core/run.ts'

/** What plain Maps hold instead of a database. */
interface Stored {
  readonly resources: Map<string, ResourceRow>
  /** Target ids by resource and field. */
  readonly references: Map<string, Map<string, string>>
  readonly timers: Map<number, TimerRow>
  readonly outcomes: Map<string, OutcomeRow>
  readonly log: Entry[]
}

type Options = Partial<Pick<SendRequest, 'own' | 'expectedVersion' | 'idempotency'>>

/** Seals so that a test can read it: not a cipher. */
const vault: Vault = {
  seal: (place, value) => Buffer.from(JSON.stringify([place, value])),
  open: (_, envelope) => (JSON.parse(envelope.toString()) as [unknown, unknown])[1],
  generate: (prefix) => `${prefix}made`,
}

/** Opens a world in which plans run without any database. `time` is what its clock shows. */
export function openWorld(definitions: Readonly<Record<string, ResourceDefinition>>) {
  const registry = createRegistry(definitions, (structure) => String(structure.length))
  const stored: Stored = {
    resources: new Map(),
    references: new Map(),
    timers: new Map(),
    outcomes: new Map(),
    log: [],
  }
  const asked: Question[] = []
  const world = { registry, stored, asked, time: 1000, made: 0, commit: true }
  const kind = (type: string): Kind => {
    const found = registry.byType.get(type)
    if (found === undefined) throw new Error(`no type ${type}`)
    return found
  }
  const run = (overlay: Overlay): Run => ({
    ...{
      registry,
      overlay,
      since: markOf(overlay),
      time: world.time,
      tenant: 'default',
      actor: null,
      vault,
    },
    ...{ correlationId: 'corr', causation: null, depth: 0, told: { count: 0 } },
    mint: (prefix) => `${prefix}_${++world.made}`,
  })
  /** Runs a plan in a batch, like the writer, and commits what that comes to. */
  const carryOut = <T>(plan: (run: Run) => Plan<T>, batch = createOverlay()): [T, Overlay] => {
    const before = markOf(batch)
    try {
      const result = drive(plan(run(batch)), stored, asked)
      if (world.commit) commit(batch, stored)
      return [result, batch]
    } catch (error) {
      goBack(batch, before)
      throw error
    }
  }
  return Object.assign(world, {
    kind,
    carryOut,
    row: (id: string) => stored.resources.get(id),
    create: (type: string, input: object = {}, options: Options = {}, batch?: Overlay) => {
      const { prefix } = kind(type)
      const id = `${prefix}_${++world.made}`
      const request: CreateRequest = {
        ...{ kind: kind(type), id, input: input as CreateRequest['input'] },
        idempotency: options.idempotency ?? null,
      }
      const [planned, overlay] = carryOut((each) => planCreate(each, request), batch)
      return { ...resultOf(planned), planned, overlay, id }
    },
    send: (
      id: string,
      type: string,
      payload: object = {},
      options: Options = {},
      batch?: Overlay,
    ) => {
      const request: SendRequest = {
        ...{ kind: kind(typeOf(stored, batch, id)), id, command: { ...payload, type } },
        ...{ expectedVersion: null, idempotency: null, ...options },
      }
      const [planned, overlay] = carryOut((each) => planSend(each, request), batch)
      return { ...resultOf(planned), planned, overlay }
    },
    fire: (position: number) => carryOut((each) => planTimer(each, position))[1],
  })
}

export type World = ReturnType<typeof openWorld>

function typeOf(stored: Stored, batch: Overlay | undefined, id: string): string {
  return (batch?.rows.get(id) ?? stored.resources.get(id))?.type ?? 'nobody'
}

function resultOf(planned: Planned): Partial<Result> {
  return 'fresh' in planned ? planned.fresh : {}
}

/** Runs a plan to its end, answering what it asks from Maps. */
function drive<T>(plan: Plan<T>, stored: Stored, asked: Question[]): T {
  let step = plan.next()
  while (!step.done) {
    asked.push(step.value)
    step = plan.next(answer(step.value, stored))
  }
  return step.value
}

function answer(question: Question, stored: Stored): Answers[Question['ask']] {
  switch (question.ask) {
    case 'resource':
      return stored.resources.get(question.id)
    case 'referrers':
      return [...stored.resources.values()]
        .filter(({ final, type }) => !final && type === question.type)
        .filter(({ id }) => stored.references.get(id)?.get(question.field) === question.targetId)
        .slice(0, question.limit)
        .map(({ id }) => id)
    case 'timer':
      return stored.timers.get(question.position)
    case 'timers':
      return [...stored.timers.values()].filter((timer) => timer.resourceId === question.resourceId)
    case 'secrets':
      return []
    case 'outcome':
      return stored.outcomes.get(`${question.tenant}/${question.key}`)
    case 'head':
      return stored.log.length
  }
}

/** Moves what a batch has decided into the Maps. */
function commit(batch: Overlay, stored: Stored): void {
  for (const [id, row] of batch.rows) stored.resources.set(id, row)
  for (const { resourceId, field, targetId } of batch.references) {
    const fields = stored.references.get(resourceId) ?? new Map<string, string>()
    stored.references.set(resourceId, fields)
    if (targetId === null) fields.delete(field)
    else fields.set(field, targetId)
  }
  for (const change of batch.timers) {
    if (change.change === 'set') setTimer(change.timer, stored)
    else removeTimers(change, stored)
  }
  for (const { entries, ...outcome } of batch.outcomes) {
    stored.outcomes.set(`${outcome.tenant}/${outcome.key}`, { ...outcome, events: [] })
  }
  stored.log.push(...batch.entries)
}

function setTimer(timer: Timer, { timers }: Stored): void {
  const position = Math.max(0, ...timers.keys()) + 1
  const fresh = { position, nextAt: timer.dueAt, attempts: 0, lastError: null }
  timers.set(position, { ...timer, ...fresh })
}

function removeTimers(change: Exclude<TimerChange, { change: 'set' }>, { timers }: Stored): void {
  const isGone = (timer: TimerRow): boolean => {
    if (change.change === 'fired') return change.position === timer.position
    if (change.resourceId !== timer.resourceId) return false
    return change.change === 'clear' || change.name === timer.name
  }
  for (const timer of [...timers.values()].filter(isGone)) timers.delete(timer.position)
}
