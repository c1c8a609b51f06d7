import { describe, expect, test } from 'vitest'
import type { Store } from '../../src/store/store.ts'
import { type OpenStore, rowOf, write } from './rows.ts'

const sealed = (text: string) => Buffer.from(text)

/** What any store has to do so that ciphertexts can be replaced while they are in use. */
export function describeSealing(openStore: OpenStore): void {
  describe('of resources', () => describeSecretSealing(openStore))
  describe('of outcomes', () => describeOutcomeSealing(openStore))
}

function describeSecretSealing(openStore: OpenStore): void {
  const secret = (resourceId: string, name: string, text = `${resourceId}${name}`) => ({
    ...{ resourceId, name, envelope: sealed(text) },
  })

  async function setup() {
    const store = await openStore()
    const rows = [secret('b', 'x'), secret('a', 'y'), secret('c', 'x'), secret('a', 'x')]
    await write(store, {
      created: [rowOf('b', { tenant: 'other' }), rowOf('a', { type: 'key' }), rowOf('c')],
      secrets: rows.map((row) => ({ change: 'set', secret: row })),
    })
    return store
  }
  const textsOf = async (store: Store) =>
    (await store.secretsAfter(null, 100)).map(({ envelope }) => envelope.toString())

  test('are gone through by resource and name, over all tenants, with the type of each', async () => {
    const store = await setup()
    const found: unknown[] = []
    for (let last = null; ; ) {
      const rows = await store.secretsAfter(last, 3)
      found.push(...rows)
      last = rows.at(-1) ?? null
      if (last === null) break
    }

    expect(found).toEqual([
      { ...secret('a', 'x'), type: 'key' },
      { ...secret('a', 'y'), type: 'key' },
      { ...secret('b', 'x'), type: 'thing' },
      { ...secret('c', 'x'), type: 'thing' },
    ])
  })

  test('are replaced only where the old one is still there', async () => {
    const store = await setup()

    const count = await store.reseal([
      { ...secret('a', 'x', 'new 1'), old: sealed('ax') },
      { ...secret('a', 'y', 'new 2'), old: sealed('stale') },
      { ...secret('b', 'none', 'new 3'), old: sealed('bx') },
      { ...secret('c', 'x', 'new 4'), old: sealed('cx') },
    ])

    expect(count).toBe(2)
    expect(await textsOf(store)).toEqual(['new 1', 'ay', 'bx', 'new 4'])
  })

  test('that were erased meanwhile do not come back', async () => {
    const store = await setup()
    await write(store, { secrets: [{ change: 'erase', resourceId: 'a', name: null }] })

    expect(await store.reseal([{ ...secret('a', 'x', 'new'), old: sealed('ax') }])).toBe(0)
    expect(await textsOf(store)).toEqual(['bx', 'cx'])
  })
}

function describeOutcomeSealing(openStore: OpenStore): void {
  const outcome = (tenant: string, key: string, secrets: string | null) => ({
    ...{ tenant, key, fingerprint: 'f', resource: '{}', changed: true, events: [], createdAt: 1 },
    secrets: secrets === null ? null : sealed(secrets),
  })

  async function setup() {
    const store = await openStore()
    const outcomes = [
      ...[outcome('t', 'c', 'tc'), outcome('s', 'b', 'sb'), outcome('t', 'none', null)],
      outcome('t', 'a', 'ta'),
    ]
    await write(store, { outcomes })
    return store
  }

  test('are gone through by tenant and key, those without any left out', async () => {
    const store = await setup()
    const first = await store.secretOutcomesAfter(null, 2)

    const rest = await store.secretOutcomesAfter(first.at(-1) ?? null, 2)

    expect([...first, ...rest]).toEqual([
      { tenant: 's', key: 'b', secrets: sealed('sb') },
      { tenant: 't', key: 'a', secrets: sealed('ta') },
      { tenant: 't', key: 'c', secrets: sealed('tc') },
    ])
  })

  test('are replaced only where the old one is still there', async () => {
    const store = await setup()
    const change = (tenant: string, key: string, old: string) => ({
      ...{ tenant, key, old: sealed(old), secrets: sealed('new') },
    })

    const count = await store.resealOutcomes([
      ...[change('t', 'a', 'ta'), change('t', 'c', 'stale'), change('s', 'a', 'sb')],
      ...[change('t', 'none', ''), change('none', 'a', 'ta')],
    ])

    expect(count).toBe(1)
    const all = await store.secretOutcomesAfter(null, 100)
    expect(all.map(({ secrets }) => secrets.toString())).toEqual(['sb', 'new', 'tc'])
  })
}
