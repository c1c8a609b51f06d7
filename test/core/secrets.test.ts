import { describe, expect, test } from 'vitest'
import { createMachine } from 'xstate'
import { z } from 'zod'
import { createOverlay, type Overlay } from '../../src/core/overlay.ts'
import type { Plan } from '../../src/core/questions.ts'
import { createRegistry } from '../../src/core/registry.ts'
import type { SecretChange, SecretRow } from '../../src/core/rows.ts'
import type { Run, Vault } from '../../src/core/run.ts'
import { keepSecrets, retiredName, storedSecrets, stripSecrets } from '../../src/core/secrets.ts'
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

function setting(name: string, value: unknown): SecretChange {
  return { change: 'set', secret: stored(name, value) }
}

function erasing(name: string): SecretChange {
  return { change: 'erase', resourceId: 'thg_1', name }
}

const lost = new PawlError('decryption_failed', 'lost', { resource_id: 'thg_1', secret: 's' })

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

    expect(keep(carried, [stored('password', 'old')]).changes).toEqual([erasing('password')])
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
    const carried = new Map([['password', 'same']])
    const rows = [stored('password', 'same')]

    const run = failing(lost)
    expect(keep(carried, rows, { run }).changes).toEqual([setting('password', 'same')])
    const broken = new Error('broken')
    expect(await caught(() => keep(carried, rows, { run: failing(broken) }))).toBe(broken)
  })
})

describe('a secret that is replaced', () => {
  const now = 5000

  /** What a command changes that makes a new one, where these are stored. */
  function changesOf(
    rows: readonly SecretRow[],
    { retire = 1000 as number | null, run = runWith({ time: now }) } = {},
  ): readonly SecretChange[] {
    const secrets = {
      made: { generate: 'm_', on: ['go'], ...(retire !== null && { retire }) },
    }
    const { changes, shown } = drive(
      keepSecrets(run, kindWith(secrets).kind, 'thg_1', 'go', new Map()),
      rows,
    )
    expect(shown).toEqual({ made: 'm_made' })
    expect(changes.at(-1)).toEqual(setting('made', 'm_made'))
    return changes.slice(0, -1)
  }

  /** A run that cannot open some secrets, by their names. */
  function runWithout(error: Error, ...names: string[]): Run {
    const open: Vault['open'] = (place, envelope) => {
      if (names.includes(place.name)) throw error
      return vault.open(place, envelope)
    }
    return runWith({ time: now, vault: { ...vault, open } })
  }

  const until = (value: string, time: number) => ({ value, until: time })
  const kept = (...list: object[]) => setting('made.retired', list)
  const list = (...entries: object[]) => stored('made.retired', entries)
  const old = stored('made', 'old')

  test('is kept beside the new one, for as long as its definition says', () => {
    expect(retiredName('made')).toBe('made.retired')
    expect(changesOf([old])).toEqual([kept(until('old', 6000))])
    expect(changesOf([old], { retire: 1 })).toEqual([kept(until('old', 5001))])
  })

  test('comes before those that were replaced earlier, without those whose time is over', () => {
    const earlier = list(until('a', 5500), until('b', 5001), until('c', 5000), until('d', 4999))

    expect(changesOf([old, earlier])).toEqual([
      kept(until('old', 6000), until('a', 5500), until('b', 5001)),
    ])
  })

  test('is one of ten at most, the newest', () => {
    const earlier = Array.from({ length: 10 }, (_, index) => until(`${index}`, 5999))

    expect(changesOf([old, list(...earlier)])).toEqual([
      kept(until('old', 6000), ...earlier.slice(0, 9)),
    ])
  })

  test('is gone at once where its definition says nothing or no time', () => {
    expect(changesOf([old], { retire: null })).toEqual([])
    expect(changesOf([old], { retire: 0 })).toEqual([])
    expect(changesOf([old, list(until('a', 5000))], { retire: 0 })).toEqual([
      erasing('made.retired'),
    ])
  })

  test('leaves nothing where there was none', () => {
    expect(changesOf([])).toEqual([])
    expect(changesOf([list(until('a', 5500))])).toEqual([kept(until('a', 5500))])
    expect(changesOf([list(until('a', 4000))])).toEqual([erasing('made.retired')])
  })

  test.each<[string, readonly string[], readonly SecretChange[]]>([
    ['its own key', ['made'], [kept(until('a', 5500))]],
    ['the key of those before', ['made.retired'], [kept(until('old', 6000))]],
    ['every key', ['made', 'made.retired'], [erasing('made.retired')]],
  ])('is dropped with %s', (_, names, changes) => {
    const run = runWithout(lost, ...names)

    expect(changesOf([old, list(until('a', 5500))], { run })).toEqual(changes)
  })

  test('and has lost its key leaves nothing where nothing was', () => {
    expect(changesOf([old], { run: runWithout(lost, 'made') })).toEqual([])
  })

  test('is no reason to hide what goes wrong otherwise', async () => {
    const broken = new Error('broken')

    expect(await caught(() => changesOf([old], { run: runWithout(broken, 'made') }))).toBe(broken)
  })

  test('is sealed in a place of its own', () => {
    const places: unknown[] = []
    const sealing: Vault['seal'] = (place, value) => {
      places.push(place)
      return seal(value)
    }

    changesOf([old], { run: runWith({ time: now, vault: { ...vault, seal: sealing } }) })

    const place = { type: 'thing', id: 'thg_1' }
    expect(places).toEqual([
      { ...place, name: 'made.retired' },
      { ...place, name: 'made' },
    ])
  })

  test('twice in a batch is kept twice', () => {
    const run = runWith({ time: now })

    run.overlay.secrets.push(...changesOf([old], { run }), setting('made', 'between'))

    expect(changesOf([old], { run })).toEqual([kept(until('between', 6000), until('old', 6000))])
  })

  test('by what a payload carries is not kept', () => {
    const { kind } = kindWith({ password: { path: 'password' } })
    const plan = keepSecrets(
      runWith({ time: now }),
      kind,
      'thg_1',
      'go',
      new Map([['password', 'b']]),
    )

    expect(drive(plan, [stored('password', 'a')]).changes).toEqual([setting('password', 'b')])
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
