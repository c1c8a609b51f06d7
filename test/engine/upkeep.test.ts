import { join } from 'node:path'
import { describe, expect, onTestFinished, test } from 'vitest'
import { createMachine, emit } from 'xstate'
import {
  type AnyEngine,
  type AnyEvent,
  type AnyTestEngine,
  fullLog,
  handleOf,
  openEngine,
  publicLog,
  setupEngine,
  setupRealEngine,
  typesOf,
} from '../support/engine.ts'
import { caught, failureOf } from '../support/errors.ts'
import { follow, makeAgents, take } from '../support/follow.ts'
import { lifecycles } from '../support/lifecycles.ts'
import { openRaw } from '../support/raw.ts'
import { fillALittle, withShapes } from '../support/shapes.ts'
import { temporaryFile } from '../support/temp.ts'
import { thing } from '../support/things.ts'
import { makeAgent, makeCredential, makeSession, send } from '../support/world.ts'

/** Opens a copy, which closes with the test. */
async function openCopy(database: string, engine: AnyTestEngine): Promise<AnyTestEngine> {
  const copy = await openEngine({ database, now: engine.clock.now(), ...withShapes() })
  onTestFinished(() => copy.close())
  return copy
}

describe('backup', () => {
  test.each(['a file', 'memory'])('copies a database in %s whole', async (where) => {
    const database = where === 'memory' ? ':memory:' : temporaryFile()
    const engine = await setupEngine({ database, ...withShapes() })
    await fillALittle(engine)
    const credential = await makeCredential(engine)
    const path = temporaryFile('copy.db')

    await engine.backup(path)

    const copy = await openCopy(path, engine)
    expect(await fullLog(copy)).toEqual(await fullLog(engine))
    expect(await copy.verify()).toEqual(await engine.verify())
    expect(await copy.verify()).toMatchObject({ ok: true })
    const revealed = await handleOf(copy, 'credentials').reveal(credential.id)
    expect(revealed).toEqual({ password: 'first password' })
  })

  test('is a copy of its own: neither follows the other', async () => {
    const engine = await setupEngine({ database: temporaryFile(), ...withShapes() })
    const session = await makeSession(engine)
    const path = temporaryFile('copy.db')
    await engine.backup(path)

    const copy = await openCopy(path, engine)
    await makeAgent(engine)
    await copy.clock.advance('5m')

    expect(typesOf(await publicLog(copy))).toEqual(['session.queued', 'session.failed'])
    expect(await handleOf(engine, 'sessions').get(session.id)).toEqual(session)
  })

  test('under load is a prefix of the log, and sound', async () => {
    const engine = await setupRealEngine({ database: temporaryFile(), ...withShapes() })
    await Promise.all(Array.from({ length: 20 }, () => makeAgents(engine, 50)))
    let writing = true
    const writers = Array.from({ length: 4 }, async () => {
      while (writing) {
        const { id } = await makeAgent(engine)
        await send(engine, 'agent', id, { type: 'update', name: 'B' })
      }
    })
    const paths = [temporaryFile('one.db'), temporaryFile('two.db'), temporaryFile('three.db')]
    for (const path of paths) await engine.backup(path)
    writing = false
    await Promise.all(writers)

    const log = await fullLog(engine)
    for (const path of paths) {
      const copy = await setupRealEngine({ database: path, ...withShapes() })
      const copied = await fullLog(copy)
      expect(copied.length).toBeGreaterThanOrEqual(1000)
      expect(copied).toEqual(log.slice(0, copied.length))
      expect(await copy.verify()).toMatchObject({ ok: true, differences: [] })
    }
  })

  test('to where nothing can be written fails, and the engine goes on', async () => {
    const engine = await setupEngine({ database: temporaryFile() })
    const nowhere = join(temporaryFile('no-folder'), 'copy.db')

    const error = await caught(() => engine.backup(nowhere))

    expect(error).toBeInstanceOf(Error)
    expect((await makeAgent(engine)).version).toBe(1)
  })

  test('refuses what is no path, and a closed engine', async () => {
    const engine = await openEngine()
    for (const path of ['', 5, undefined]) {
      const error = await failureOf(async () => engine.backup(path as string))
      expect(error.code).toBe('invalid_input')
    }

    await engine.close()

    const late = await failureOf(async () => engine.backup(temporaryFile()))
    expect(late.code).toBe('closed')
  })
})

describe('prune', () => {
  /** Agents that were renamed on the days 0, 20 and 40, and one that was deleted on day 0. */
  async function setup() {
    const database = temporaryFile()
    const engine = await setupEngine({ database, ...withShapes() })
    const agents = [await makeAgent(engine), await makeAgent(engine.tenant('acme'))]
    const gone = await makeAgent(engine)
    await send(engine, 'agent', gone.id, 'delete')
    for (const name of ['B', 'C']) {
      await engine.clock.advance('20d')
      await send(engine, 'agent', agents[0]?.id ?? '', { type: 'update', name })
      await send(engine.tenant('acme'), 'agent', agents[1]?.id ?? '', { type: 'update', name })
    }
    return { database, engine, agent: agents[0]?.id ?? '', other: agents[1]?.id ?? '', gone }
  }

  test('takes the events that are older than it is told, in every tenant', async () => {
    const { engine, agent, other } = await setup()

    await engine.prune({ events: '30d' })

    const names = async (each: AnyEngine, resource: string) =>
      (await publicLog(each, { resource })).map(({ data }) => data.name)
    expect(await names(engine, agent)).toEqual(['B', 'C'])
    expect(await names(engine.tenant('acme'), other)).toEqual(['B', 'C'])
  })

  test('leaves every resource as it is, and the database sound', async () => {
    const { engine, agent, gone } = await setup()
    const agents = handleOf(engine, 'agents')
    const before = [await agents.get(agent), await agents.get(gone.id)]

    await engine.prune({ events: '30d' })

    expect([await agents.get(agent), await agents.get(gone.id)]).toEqual(before)
    expect(await engine.verify()).toMatchObject({ ok: true, differences: [] })
  })

  test('leaves an engine that goes on counting where it was', async () => {
    const { database, engine, agent } = await setup()
    const last = (await fullLog(engine, { tenant: '*' })).at(-1)

    await engine.prune({ events: '1d' })
    await engine.prune({ events: '1d' })
    const { resource, events } = await send(engine, 'agent', agent, { type: 'update', name: 'D' })

    expect(events[0]?.seq).toBeGreaterThan(last?.seq ?? 0)
    expect(resource).toMatchObject({ name: 'D', version: 4 })
    expect(await engine.verify()).toMatchObject({ ok: true, differences: [] })
    await engine.close()
    const again = await setupEngine({ database, now: engine.clock.now(), ...withShapes() })
    expect(await again.verify()).toMatchObject({ ok: true, differences: [] })
  })

  test('leaves nothing that tampering could hide behind', async () => {
    const { database, engine, agent } = await setup()
    await engine.prune({ events: '30d' })
    const raw = openRaw(database)

    const changed = raw
      .prepare(
        'update pawl_events set data = replace(data, \'"C"\', \'"X"\') where resource_id = ?',
      )
      .run(agent)

    expect(changed.changes).toBeGreaterThan(0)
    const { ok, differences } = await engine.verify()
    expect(ok).toBe(false)
    expect(differences.map(({ resource_id }) => resource_id)).toContain(agent)
  })

  test('leaves what subscribers begin with: the rest, in order', async () => {
    const { engine, agent } = await setup()
    await engine.prune({ events: '30d' })
    const log = await publicLog(engine)

    expect(await take(engine.events.subscribe({ from: 'start' }), log.length)).toEqual(log)
    const next = follow(engine, { from: 'now', resource: agent }).next()
    await send(engine, 'agent', agent, { type: 'update', name: 'D' })
    expect(((await next).value as AnyEvent).data.name).toBe('D')
  })

  test('takes nothing when nothing is old', async () => {
    const { engine } = await setup()
    const before = await fullLog(engine)

    await engine.prune({ events: '41d' })

    expect(await fullLog(engine)).toEqual(before)
  })

  test('leaves timers', async () => {
    const engine = await setupEngine(withShapes())
    const things = handleOf(engine, 'things')
    const { id } = (await things.create({})).resource
    await things.send(id, { type: 'go' })
    await engine.clock.advance('30m')

    await engine.prune({ events: '1m' })
    await engine.clock.advance('31m')

    expect((await things.get(id)).version).toBeGreaterThan(2)
    expect(await engine.verify()).toMatchObject({ ok: true, differences: [] })
  })

  test('refuses what it does not know, and a closed engine', async () => {
    const engine = await openEngine()
    for (const options of [{ events: 'soon' }, { events: -1 }, { event: '30d' }]) {
      expect((await failureOf(async () => engine.prune(options))).code).toBe('invalid_input')
    }

    await engine.close()

    expect((await failureOf(async () => engine.prune({ events: '1d' }))).code).toBe('closed')
  })
})

describe('describe', () => {
  test.each(Object.entries(lifecycles.resources))('shows the life of a %s', async (type, life) => {
    const engine = await setupEngine()

    const { mermaid, states, commands, events, timers } = await engine.describe(type)

    expect(mermaid).toMatch(/^stateDiagram-v2/m)
    const shown = [states, commands, events, timers].map((part) => JSON.stringify(part))
    for (const status of Object.keys(life.statuses)) {
      expect(shown[0]).toContain(`"${status}"`)
      expect(mermaid).toContain(status)
    }
    const rows = life.transitions.filter(({ command }) => !life.commands[command]?.internal)
    for (const row of rows) expect(shown[1]).toContain(`"${row.command}"`)
    for (const row of rows.filter(({ from, to }) => from !== to)) {
      expect(mermaid).toContain(row.command)
    }
    for (const { event } of rows.filter((row) => row.event !== null)) {
      expect(shown[2]).toContain(`"${event}"`)
    }
    expect(Object.keys(timers as object).length > 0).toBe(life.timers.length > 0)
  })

  test('shows regions, nested states and histories of a machine of the user', async () => {
    const engine = await setupEngine(withShapes())

    const { mermaid, ...parts } = await engine.describe('thing')

    for (const name of ['motor', 'lamp', 'off', 'slow', 'fast', 'flickering', 'lit', 'go']) {
      expect(mermaid).toContain(name)
    }
    expect(mermaid.split('{')).toHaveLength(mermaid.split('}').length)
    const shown = JSON.stringify(parts)
    for (const type of ['thing.started', 'thing.flickered']) expect(shown).toContain(type)
  })

  test('shows states by any name, and stays a diagram', async () => {
    const machine = createMachine({
      initial: 'to do',
      states: {
        'to do': { on: { go: { target: 'end', actions: emit({ type: 'thing.ended' }) } } },
        end: { on: { go: '}"; state' } },
        '}"; state': {},
      },
    })
    const engine = await setupEngine({ resources: { things: thing(machine) } })

    const { mermaid } = await engine.describe('thing')

    // "end" closes blocks in Mermaid, and an id has no blanks: neither may stand alone in a line.
    expect(mermaid).toMatch(/^stateDiagram-v2/m)
    expect(mermaid).not.toMatch(/^\s*(?:to do|end)\s*(?:-->|$)/m)
    expect(mermaid).toContain('to do')
  })

  test('gives data that is plain JSON, the same each time', async () => {
    const engine = await setupEngine()

    const once = await engine.describe('task_run')

    expect(JSON.parse(JSON.stringify(once))).toEqual(once)
    expect(await engine.describe('task_run')).toEqual(once)
  })

  test('knows only the types that are there', async () => {
    const engine = await openEngine()
    for (const type of ['sesion', '', '__proto__']) {
      const { code } = await failureOf(async () => engine.describe(type))
      expect(['invalid_input', 'not_found']).toContain(code)
    }

    await engine.close()

    expect((await failureOf(async () => engine.describe('session'))).code).toBe('closed')
  })
})
