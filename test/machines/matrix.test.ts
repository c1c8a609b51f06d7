import { describe, expect, test } from 'vitest'
import { type Case, cases, strayVariants } from '../support/cases.ts'
import {
  type AnyEngine,
  type AnyOutcome,
  type AnyResource,
  allTimers,
  collect,
  fullLog,
  handleOf,
  publicLog,
  setupEngine,
  typesOf,
} from '../support/engine.ts'
import { failureOf } from '../support/errors.ts'
import {
  isInternal,
  isTerminal,
  lifecycleOf,
  lifecycles,
  pairsOf,
  rowsOf,
} from '../support/lifecycles.ts'
import {
  makeAnonymousRun,
  makeRunningRun,
  reach,
  read,
  send,
  sessionOf,
  validCommand,
} from '../support/world.ts'

const types = Object.keys(lifecycles.resources)

const illegalPairs = types.flatMap((type) =>
  pairsOf(type)
    .filter(({ status, command }) => {
      return isInternal(type, command) || rowsOf(type, status, command).length === 0
    })
    .map((pair) => ({ type, ...pair, reason: reasonOf(type, pair.status, pair.command) })),
)

const statuses = types.flatMap((type) =>
  Object.keys(lifecycleOf(type).statuses).map((status) => ({ type, status })),
)

function reasonOf(type: string, status: string, command: string): string {
  if (isInternal(type, command)) return 'reserved'
  return isTerminal(type, status) ? 'terminal' : 'not_accepted'
}

/** All that a refused or ignored command must leave alone. */
async function everything(engine: AnyEngine, type: string, id: string): Promise<object> {
  return {
    resource: await read(engine, type, id),
    log: await fullLog(engine),
    timers: await allTimers(engine),
  }
}

describe('creation', () => {
  test.each(types)('creates a %s as its table says', async (type) => {
    const engine = await setupEngine()
    const { status, event } = lifecycleOf(type).create

    const resource = await reach(engine, type, status)

    expect(resource).toMatchObject({ object: type, status, version: 1 })
    expect(resource.id).toMatch(new RegExp(`^${lifecycleOf(type).prefix}_`))
    const own = await publicLog(engine, { resource: resource.id })
    expect(typesOf(own)).toEqual(event ? [event] : [])
    const [entry] = await fullLog(engine, { resource: resource.id })
    expect(entry).toMatchObject({ internal: event === null, resource_version: 1 })
  })
})

describe('a pair with a row', () => {
  test('every variant belongs to a row of the tables', () => {
    expect(strayVariants).toEqual([])
  })

  test.each(cases)('$title ($effect)', async (each) => {
    const engine = await setupEngine()
    const { id, act } = await each.prepare(engine)
    const before = await read(engine, each.type, id)
    const all = await everything(engine, each.type, id)
    expect(before.status).toBe(each.row.from)

    const outcome = await act()

    const after = await read(engine, each.type, id)
    expect(after.status).toBe(each.row.to)
    each.check?.(after, before)
    checkOutcome(each, outcome, after)
    if (each.effect === 'unchanged') {
      expect(await everything(engine, each.type, id)).toEqual(all)
    } else {
      await checkTrace(engine, each, before, after)
    }
  })
})

function checkOutcome(each: Case, outcome: AnyOutcome, after: AnyResource): void {
  const own = outcome.events.filter((event) => event.resource_id === after.id)
  expect(typesOf(own)).toEqual(each.effect === 'event' ? [each.row.event] : [])
  expect(own.every((event) => !event.internal)).toBe(true)
  if (outcome.resource.id !== after.id) return
  expect(outcome.resource).toEqual(after)
  expect(outcome).toMatchObject({ changed: each.effect !== 'unchanged', replayed: false })
}

async function checkTrace(
  engine: AnyEngine,
  each: Case,
  before: AnyResource,
  after: AnyResource,
): Promise<void> {
  expect(after.version).toBe(before.version + 1)
  const handle = handleOf(engine, lifecycleOf(each.type).property)
  const entries = await collect(await handle.history(after.id, { limit: 1000 }))
  const latest = entries.filter((entry) => entry.resource_version === after.version)
  const internal = each.effect === 'data'
  const type = internal ? `${each.type}.${each.row.command}` : each.row.event
  expect(latest).toMatchObject([{ type, internal }])
  if (internal) return
  expect(Object.keys(latest[0]?.data ?? {}).sort()).toEqual(
    [...lifecycleOf(each.type).summary].sort(),
  )
}

describe('a pair without a row', () => {
  test.each(illegalPairs)('$type $status refuses $command: $reason', async (pair) => {
    const { type, status, command, reason } = pair
    const engine = await setupEngine()
    const { id } = await reach(engine, type, status)
    const handle = handleOf(engine, lifecycleOf(type).property)
    const before = await everything(engine, type, id)

    const error = await failureOf(send(engine, type, id, validCommand(type, command)))

    const accepts = await handle.accepts(id)
    expect(error).toMatchObject({
      code: 'illegal_transition',
      ...{ reason, resource_id: id, status, command, accepts },
    })
    expect(await everything(engine, type, id)).toEqual(before)
    const explanation = await handle.explain(id, validCommand(type, command))
    expect(explanation).toMatchObject({ accepted: false, reason })
  })
})

describe('accepts', () => {
  test.each(statuses)('lists what the table says for $type in $status', async (pair) => {
    const { type, status } = pair
    const engine = await setupEngine()
    const { id } = await reach(engine, type, status)

    const accepted = await handleOf(engine, lifecycleOf(type).property).accepts(id)

    const expected = Object.keys(lifecycleOf(type).commands).filter((command) => {
      return !isInternal(type, command) && rowsOf(type, status, command).length > 0
    })
    expect([...accepted].sort()).toEqual(expected.sort())
  })

  test('leaves out logins of a run without a credential', async () => {
    const engine = await setupEngine()
    const { id } = await makeAnonymousRun(engine)

    const accepted = await handleOf(engine, 'taskRuns').accepts(id)

    expect(accepted).toContain('complete')
    expect(accepted).not.toContain('login_succeeded')
    expect(accepted).not.toContain('login_rejected')
  })

  test('leaves out complete while a run of the session has not ended', async () => {
    const engine = await setupEngine()
    const run = await makeRunningRun(engine)
    await send(engine, 'session', sessionOf(run), 'end')

    const sessions = handleOf(engine, 'sessions')

    expect([...(await sessions.accepts(sessionOf(run)))].sort()).toEqual(['end', 'fail'])
    await send(engine, 'task_run', run.id, 'confirm_cancel')
    expect(await sessions.accepts(sessionOf(run))).toContain('complete')
  })
})

test('the cases cause each of the 32 public events, and no other', async () => {
  const engine = await setupEngine()
  for (const each of cases) {
    const { act } = await each.prepare(engine)
    await act()
  }

  const seen = new Set(typesOf(await publicLog(engine)))

  expect(lifecycles.events).toHaveLength(32)
  expect([...seen].sort()).toEqual([...lifecycles.events].sort())
})
