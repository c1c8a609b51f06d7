import { describe, expect, test } from 'vitest'
import { createMachine } from 'xstate'
import { z } from 'zod'
import { createOverlay, type Overlay } from '../../src/core/overlay.ts'
import type { Plan } from '../../src/core/questions.ts'
import { createRegistry } from '../../src/core/registry.ts'
import type { SecretChange, SecretRow } from '../../src/core/rows.ts'
import type { Run, Vault } from '../../src/core/run.ts'
import { keepSecrets, storedSecrets, stripSecrets } from '../../src/core/secrets.ts'
import { PawlError } from '../../src/errors.ts'
import { define } from '../support/define.ts'
import { caught } from '../support/errors.ts'

const loose = z.looseObject({})

function kindWith(secrets: object) {
  const definition = define({
    ...{ type: 'thing', prefix: 'thg', input: loose, commands: { go: loose, stop: loose } },
    machine: createMachine({ initial: 'calm', states: { calm: { on: { go: {}, stop: {} } } } }),
    secrets,
  })
  const registry = createRegistry({ things: definition }, String)
  const kind = registry.byType.get('thing')
  if (kind === undefined) throw new Error('the thing is not registered')
  return { registry, kind }
}

function seal(value: unknown): Buffer {
  return Buffer.from(JSON.stringify(value))
}

function stored(name: string, value: unknown): SecretRow {
  return { resourceId: 'thg_1', name, envelope: seal(value) }
}

const vault: Vault = {
  seal: (_, value) => seal(value),
  open: (_, envelope) => JSON.parse(envelope.toString()),
  generate: (prefix) => `${prefix}made`,
}

function runWith(parts: object = {}): Run {
  return { overlay: createOverlay(), vault, ...parts } as Run
}

/** Runs a plan that asks for nothing but stored secrets. */
function drive<T>(plan: Plan<T>, rows: readonly SecretRow[] = []): T {
  let step = plan.next()
  while (!step.done) {
    expect(step.value).toEqual({ ask: 'secrets', resourceId: 'thg_1' })
    step = plan.next(rows)
  }
  return step.value
}

describe('a payload is stripped', () => {
  const login = { login: { name: 'ada', password: 'p', more: [1] }, n: 1 }

  function strip(secret: object, payload: object = login, command = 'go') {
    const { visible, carried } = stripSecrets(
      kindWith({ secret }).kind,
      command,
      payload as Record<string, unknown>,
    )
    return { visible, carried: [...carried] }
  }

  test('of a value deep inside, and of nothing else', () => {
    expect(strip({ path: 'login.password' })).toEqual({
      visible: { login: { name: 'ada', more: [1] }, n: 1 },
      carried: [['secret', 'p']],
    })
  })

  test('of a value at the top', () => {
    expect(strip({ path: 'login' })).toEqual({
      visible: { n: 1 },
      carried: [['secret', login.login]],
    })
  })

  test('of nothing where the payload does not speak of it', () => {
    const silent = { visible: { n: 1 }, carried: [] }

    expect(strip({ path: 'login.password' }, { n: 1 })).toEqual(silent)
    expect(strip({ path: 'password' }, { n: 1 })).toEqual(silent)
    expect(strip({ path: 'toString' }, { n: 1 })).toEqual(silent)
  })

  test.each([[[1]], ['text'], [null], [5]])('of nothing in what is no object: %j', (login) => {
    expect(strip({ path: 'login.password' }, { login })).toEqual({
      visible: { login },
      carried: [],
    })
  })

  test('where its surroundings leave it out, which says that there is none', () => {
    expect(strip({ path: 'login.password' }, { login: { name: 'ada' } })).toEqual({
      visible: { login: { name: 'ada' } },
      carried: [['secret', undefined]],
    })
  })

  test('of a value that is not to be kept, without keeping it', () => {
    expect(strip({ path: 'n', keep: false })).toEqual({
      visible: { login: login.login },
      carried: [],
    })
    expect(strip({ path: 'n', keep: true }).carried).toEqual([['secret', 1]])
  })

  test('on the commands that carry it alone', () => {
    const secret = { path: 'n', on: ['go', 'create'] }

    expect(strip(secret).carried).toHaveLength(1)
    expect(strip(secret, login, 'stop')).toEqual({ visible: login, carried: [] })
  })

  test('of none that the engine makes', () => {
    expect(strip({ generate: 'n', on: ['go'] })).toEqual({ visible: login, carried: [] })
  })

  test('without changing what was given', () => {
    const given = { login: { password: 'p' } }

    strip({ path: 'login.password' }, given)

    expect(given).toEqual({ login: { password: 'p' } })
  })
})

describe('secrets are kept', () => {
  const made = { generate: 'm_', on: ['create', 'go'] }

  function keep(
    carried: ReadonlyMap<string, unknown>,
    rows: readonly SecretRow[] = [],
    { secrets = {}, command = 'go', run = runWith() } = {},
  ) {
    const { kind } = kindWith({ password: { path: 'password' }, ...secrets })
    return drive(keepSecrets(run, kind, 'thg_1', command, carried), rows)
  }

  const setting = (name: string, value: unknown): SecretChange => ({
    ...{ change: 'set', secret: stored(name, value) },
  })

  test('when they are new or other ones', () => {
    const carried = new Map([['password', 'new']])

    for (const rows of [[], [stored('password', 'old')], [stored('other', 'new')]]) {
      expect(keep(carried, rows)).toEqual({ changes: [setting('password', 'new')], shown: {} })
    }
  })

  test('as they are when nothing about them changes', () => {
    const carried = new Map([['password', { a: 1 }]])

    expect(keep(carried, [stored('password', { a: 1 })])).toEqual({ changes: [], shown: {} })
  })

  test('no longer when they are said not to be there', () => {
    const carried = new Map([['password', undefined]])
    const erase = { change: 'erase', resourceId: 'thg_1', name: 'password' }

    expect(keep(carried, [stored('password', 'old')]).changes).toEqual([erase])
    expect(keep(carried, [stored('other', 'old')]).changes).toEqual([])
  })

  test('and shown this once where the engine makes them', () => {
    expect(keep(new Map(), [], { secrets: { made } })).toEqual({
      changes: [setting('made', 'm_made')],
      shown: { made: 'm_made' },
    })
    expect(keep(new Map(), [], { secrets: { made }, command: 'stop' })).toEqual({
      changes: [],
      shown: {},
    })
  })

  test('anew when their key is lost, and not when opening them fails otherwise', async () => {
    const failing = (error: Error): Run => {
      const open = () => {
        throw error
      }
      return runWith({ vault: { ...vault, open } })
    }
    const lost = { resource_id: 'thg_1', secret: 'password' }
    const carried = new Map([['password', 'same']])
    const rows = [stored('password', 'same')]

    const run = failing(new PawlError('decryption_failed', 'lost', lost))
    expect(keep(carried, rows, { run }).changes).toEqual([setting('password', 'same')])
    const broken = new Error('broken')
    expect(await caught(() => keep(carried, rows, { run: failing(broken) }))).toBe(broken)
  })
})

describe('the secrets of a resource', () => {
  const rows = [stored('a', 1), stored('b', 2)]

  function seen(changes: readonly SecretChange[]) {
    const overlay: Overlay = createOverlay()
    overlay.secrets.push(...changes)
    const secrets = drive(storedSecrets(runWith({ overlay }), 'thg_1'), rows)
    return Object.fromEntries([...secrets].map(([name, value]) => [name, Number(value.toString())]))
  }

  const set = (resourceId: string, name: string, value: unknown): SecretChange => ({
    ...{ change: 'set', secret: { resourceId, name, envelope: seal(value) } },
  })
  const erase = (resourceId: string, name: string | null): SecretChange => ({
    ...{ change: 'erase', resourceId, name },
  })

  test.each<[string, readonly SecretChange[], object]>([
    ['are those that are stored', [], { a: 1, b: 2 }],
    [
      'are with those that have been set',
      [set('thg_1', 'c', 3), set('thg_1', 'a', 4)],
      { a: 4, b: 2, c: 3 },
    ],
    ['are without those of others', [set('thg_2', 'c', 3)], { a: 1, b: 2 }],
    ['are without one that has been erased', [erase('thg_1', 'a')], { b: 2 }],
    ['are none once all are erased', [erase('thg_1', null)], {}],
    [
      'stay when those of others are erased',
      [erase('thg_2', null), erase('thg_2', 'a')],
      { a: 1, b: 2 },
    ],
  ])('%s', (_, changes, expected) => {
    expect(seen(changes)).toEqual(expected)
  })
})
