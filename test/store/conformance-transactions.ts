import { describe, expect, test } from 'vitest'
import { ask } from '../../src/core/questions.ts'
import type { Store, Transaction } from '../../src/store/store.ts'
import { caught, failureOf } from '../support/errors.ts'
import { turns } from '../support/transactions.ts'
import { gate } from '../support/until.ts'
import { entryIdOf, entryOf, NOTHING, type OpenStore, rowOf, write } from './rows.ts'

/** What any store has to do for transactions that last until they are ended. */
export function describeOpenTransactions(openStore: OpenStore): void {
  describe('and is ended', () => describeEnds(openStore))
  describe('is of one piece, and', () => describeParts(openStore))
  test('shows others nothing that it undoes', async () => {
    const { store, transaction } = await setupOpen(openStore)
    await write(transaction.store, { created: [rowOf('a')] })

    const reading = idsIn(store)
    await turns(5)
    await transaction.rollback()

    expect(await reading).toEqual(['before'])
  })
  describe('refuses', () => describeMisuse(openStore))
  describe('ends with its store, and', () => describeClosing(openStore))
}

const idsIn = async (store: Store): Promise<string[]> => {
  const query = { after: null, order: 'asc', limit: 100, tenant: null, type: 'thing' } as const
  const bounds = { statuses: null, references: {}, createdAfter: null, createdBefore: null }
  return (await store.listResources({ ...query, ...bounds })).map(({ id }) => id)
}

async function createTable({ db }: Transaction): Promise<void> {
  await db.schema.createTable('notes').addColumn('text', 'text').execute()
}

const note = ({ db }: Transaction, text: string) =>
  db.insertInto('notes').values({ text }).execute()

/** The application's own rows, read in a transaction of their own. */
async function notesIn(store: Store): Promise<unknown[]> {
  const transaction = store.transaction()
  const rows = await transaction.db.selectFrom('notes').select('text').execute()
  await transaction.commit()
  return rows.map(({ text }) => text)
}

/** A store with a table of the application, one thing in it, and a transaction that has begun. */
async function setupOpen(openStore: OpenStore, busyTimeout?: number) {
  const store = await openStore(busyTimeout)
  const first = store.transaction()
  await createTable(first)
  await first.commit()
  await write(store, { created: [rowOf('before')], entries: [entryOf(1, 'before')] })
  const transaction = store.transaction()
  await transaction.begin()
  return { store, transaction }
}

function describeEnds(openStore: OpenStore): void {
  /** Writes in every way in which a transaction can. */
  async function writeAll(transaction: Transaction): Promise<void> {
    await write(transaction.store, { created: [rowOf('a')], entries: [entryOf(2, 'a')] })
    await transaction.store.markChecked('thing', '7:z')
    await note(transaction, 'mine')
    const consumer = { tenant: 'default', name: 'mailer', owner: 'one', position: 0 }
    await transaction.store.takeConsumer(consumer, 1000, 1100)
  }
  const all = async (store: Store) => ({
    ids: await idsIn(store),
    head: (await store.log()).head,
    machine: await store.checkedMachine('thing'),
    consumers: (await store.listConsumers(null)).length,
    notes: await notesIn(store),
  })

  test('keeps everything when it commits', async () => {
    const { store, transaction } = await setupOpen(openStore)
    await writeAll(transaction)

    await transaction.commit()

    expect(await all(store)).toEqual({
      ...{ ids: ['before', 'a'], head: 2, machine: '7:z', consumers: 1, notes: ['mine'] },
    })
  })

  test('keeps nothing when it rolls back', async () => {
    const { store, transaction } = await setupOpen(openStore)
    await writeAll(transaction)

    await transaction.rollback()

    expect(await all(store)).toEqual({
      ...{ ids: ['before'], head: 1, machine: undefined, consumers: 0, notes: [] },
    })
  })

  test('stays as it ended: rolling it back does nothing, and committing it is refused', async () => {
    const { store, transaction } = await setupOpen(openStore)
    const undone = store.transaction()
    await note(transaction, 'kept')
    await transaction.commit()
    await transaction.rollback()
    await note(undone, 'undone')
    await undone.rollback()
    await undone.rollback()

    for (const ended of [transaction, undone]) {
      expect((await failureOf(ended.commit())).code).toBe('transaction_misuse')
    }
    expect(await notesIn(store)).toEqual(['kept'])
  })

  test('without having begun costs nothing', async () => {
    const store = await openStore(0)
    const transactions = [store.transaction(), store.transaction()]
    await write(store, { created: [rowOf('a')] })

    await transactions[0]?.commit()
    await transactions[1]?.rollback()

    expect(await idsIn(store)).toEqual(['a'])
  })

  test('begins with its first use: until then, it sees what others commit', async () => {
    const store = await openStore(0)
    const transaction = store.transaction()
    await write(store, { created: [rowOf('a')] })

    expect(await idsIn(transaction.store)).toEqual(['a'])
    await transaction.rollback()
  })
}

function describeParts(openStore: OpenStore): void {
  test('sees what it has written, by every reader', async () => {
    const { transaction } = await setupOpen(openStore)
    const { store } = transaction
    await write(store, { created: [rowOf('a')], entries: [entryOf(2, 'a')] })

    expect(await store.findResource('a')).toMatchObject(rowOf('a', { latest: 2, entries: 1 }))
    expect(await store.findEntry(entryIdOf(2))).toMatchObject({ seq: 2 })
    expect((await store.log()).head).toBe(2)
    expect(await store.read(() => ask({ ask: 'head' }))).toBe(2)
    expect(await store.positionsAfter(1, 10)).toMatchObject([{ id: 'a' }])
    const rows = await transaction.db.selectFrom('pawl_resources').select('id').execute()
    expect(rows.map(({ id }) => id).toSorted()).toEqual(['a', 'before'])
    await transaction.rollback()
  })

  test.each<[string, (store: Store) => Promise<unknown>]>([
    [
      'throws',
      (store) =>
        store.transact(function* () {
          yield* ask({ ask: 'head' })
          throw new Error('the plan changed its mind')
        }),
    ],
    [
      'cannot be written',
      (store) => write(store, { created: [rowOf('b'), rowOf('before')], entries: [] }),
    ],
    [
      'is half written',
      (store) =>
        write(store, { created: [rowOf('b')], entries: [entryOf(2, 'b'), entryOf(2, 'b')] }),
    ],
  ])('undoes a plan that %s, and that plan only', async (_, plan) => {
    const { store, transaction } = await setupOpen(openStore)
    await write(transaction.store, { created: [rowOf('a')] })
    await note(transaction, 'mine')

    await caught(() => plan(transaction.store))
    await write(transaction.store, { created: [rowOf('c')], entries: [entryOf(2, 'c')] })
    await transaction.commit()

    expect(await idsIn(store)).toEqual(['before', 'a', 'c'])
    expect(await notesIn(store)).toEqual(['mine'])
  })

  test('gives the result of a plan that writes nothing', async () => {
    const { transaction } = await setupOpen(openStore)

    const result = await transaction.store.transact(function* () {
      return { writes: null, result: yield* ask({ ask: 'head' }) }
    })

    expect(result).toBe(1)
    await transaction.rollback()
  })

  test('runs plans that arrive together one after the other', async () => {
    const { store, transaction } = await setupOpen(openStore)
    const increment = () =>
      transaction.store.transact(function* () {
        const row = (yield* ask({ ask: 'resource', id: 'before' })) ?? expect.fail()
        const changed = [{ ...row, version: row.version + 1 }]
        return { writes: { ...NOTHING, changed }, result: row.version }
      })

    expect(await Promise.all([increment(), increment(), increment()])).toEqual([1, 2, 3])
    await transaction.commit()
    expect(await store.findResource('before')).toMatchObject({ version: 4 })
  })

  test('takes consumers on, or lets them be', async () => {
    const { store, transaction } = await setupOpen(openStore)
    await transaction.rollback()
    const consumer = { tenant: 'default', name: 'mailer', owner: 'one', position: 0 }
    const row = (await store.takeConsumer(consumer, 1000, 1100)) ?? expect.fail()
    const [kept, undone] = [store.transaction(), store.transaction()]
    const lease = { ...row, until: 1200 }

    expect(await undone.store.advanceConsumer(lease, 5)).toBe(true)
    await undone.rollback()
    expect(await store.findConsumer(consumer)).toEqual(row)
    expect(await kept.store.advanceConsumer(lease, 5)).toBe(true)
    await kept.commit()

    expect(await store.findConsumer(consumer)).toMatchObject({ position: 5, leasedUntil: 1200 })
  })
}

function describeMisuse(openStore: OpenStore): void {
  test.each<[string, (store: Store) => unknown]>([
    ['a read', (store) => store.findResource('a')],
    ['a plan', (store) => store.read(() => ask({ ask: 'head' }))],
    ['upkeep', (store) => store.markChecked('thing', '1:x')],
    ['a consumer', (store) => store.listConsumers(null)],
    ['a check', (store) => store.lastPosition()],
    ['a copy', (store) => store.backup('nowhere', new AbortController().signal)],
    ['a transaction', (store) => store.transaction().begin()],
    ['a writer', (store) => store.requireAccess()],
  ])('%s that goes around it, in work that belongs to it', async (_, call) => {
    const { store, transaction } = await setupOpen(openStore)

    const error = await failureOf(transaction.run(async () => call(store)))

    expect(error).toMatchObject({ code: 'transaction_misuse', retryable: false })
    await note(transaction, 'mine')
    await transaction.commit()
    expect(await notesIn(store)).toEqual(['mine'])
  })

  test('nothing in work that has outlived it', async () => {
    const { store, transaction } = await setupOpen(openStore)
    const ended = gate()

    const working = transaction.run(async () => {
      await ended.opened
      return store.findResource('before')
    })
    await transaction.commit()
    ended.open()

    expect(await working).toMatchObject({ id: 'before' })
  })

  test('nothing in work that has not used it yet', async () => {
    const store = await openStore()
    const transaction = store.transaction()

    await transaction.run(() => write(store, { created: [rowOf('a')] }))
    const ids = await transaction.run(() => idsIn(store))

    expect(ids).toEqual(['a'])
    await transaction.rollback()
  })

  test.each(['commit', 'rollback'] as const)('everything after its %s', async (end) => {
    const { store, transaction } = await setupOpen(openStore)
    const own = transaction.store
    await transaction[end]()

    const calls = [
      () => transaction.begin(),
      () => own.findResource('a'),
      () => own.read(() => ask({ ask: 'head' })),
      () => own.markChecked('thing', '1:x'),
      () => write(own, { created: [rowOf('a')] }),
      () => note(transaction, 'late'),
      () => transaction.db.selectFrom('notes').execute(),
    ]

    for (const call of calls) expect((await failureOf(call)).code).toBe('transaction_misuse')
    expect(await idsIn(store)).toEqual(['before'])
    expect(await notesIn(store)).toEqual([])
  })

  test('a transaction within its own rows', async () => {
    const { transaction } = await setupOpen(openStore)

    const error = await failureOf(
      transaction.db.transaction().execute((inner) => inner.selectFrom('notes').execute()),
    )

    expect(error.code).toBe('transaction_misuse')
    await transaction.rollback()
  })
}

function describeClosing(openStore: OpenStore): void {
  test('is undone; what is still done in it is refused', async () => {
    const { store, transaction } = await setupOpen(openStore)
    await note(transaction, 'mine')

    await store.close()

    const calls = [
      () => note(transaction, 'late'),
      () => transaction.store.findResource('before'),
      () => transaction.commit(),
      () => store.findResource('before'),
      () => store.transaction().begin(),
    ]
    for (const call of calls) expect((await failureOf(call)).code).toBe('closed')
    await transaction.rollback()
  })

  test('and has not begun never does', async () => {
    const store = await openStore()
    const transaction = store.transaction()

    await store.close()

    expect((await failureOf(() => transaction.begin())).code).toBe('closed')
    expect((await failureOf(() => note(transaction, 'late'))).code).toBe('closed')
  })
}

/** What a store has to do besides that has one connection: whoever has it keeps all others waiting. */
export function describeWaiting(openStore: OpenStore): void {
  test('keeps others waiting from its first use', async () => {
    const store = await openStore(0)
    const transaction = store.transaction()
    await transaction.store.findResource('a')

    expect(await failureOf(write(store, { created: [rowOf('b')] }))).toMatchObject({
      code: 'storage_busy',
    })
    await transaction.rollback()
  })

  test('lets them on in their order when it ends', async () => {
    const { store, transaction } = await setupOpen(openStore)
    await write(transaction.store, { created: [rowOf('a')] })
    const order: string[] = []
    const after = async (name: string, call: Promise<unknown>) => {
      await call
      order.push(name)
    }

    const reading = idsIn(store)
    const waiting = [
      after('read', reading),
      after('write', write(store, { created: [rowOf('b')] })),
      after(
        'plan',
        store.read(() => ask({ ask: 'head' })),
      ),
      after('mark', store.markChecked('thing', '1:x')),
      after('last write', write(store, { created: [rowOf('c')] })),
    ]
    await turns(20)
    expect(order).toEqual([])
    await transaction.commit()
    await Promise.all(waiting)

    // Reads may see what was written after them, and nobody overtakes a write with another one.
    const writes = order.filter((name) => name !== 'read' && name !== 'plan')
    expect(writes).toEqual(['write', 'mark', 'last write'])
    expect(order).toHaveLength(5)
    expect(await reading).toContain('a')
    expect(await idsIn(store)).toEqual(['before', 'a', 'b', 'c'])
  })

  test('lets other transactions on one by one, in their order', async () => {
    const { store, transaction } = await setupOpen(openStore)
    const texts = Array.from({ length: 30 }, (_, i) => `note ${i}`)
    let inside = 0

    const waiting = texts.map(async (text) => {
      const next = store.transaction()
      await next.begin()
      inside += 1
      await note(next, text)
      await turns(1)
      expect(inside).toBe(1)
      inside -= 1
      await next.commit()
    })
    await turns(5)
    await transaction.commit()
    await Promise.all(waiting)

    expect(await notesIn(store)).toEqual(texts)
  })

  test.each<[string, (store: Store) => Promise<unknown>]>([
    ['a read', (store) => store.findResource('a')],
    ['a plan', (store) => store.read(() => ask({ ask: 'head' }))],
    ['a write', (store) => write(store, { created: [rowOf('b')] })],
    ['upkeep', (store) => store.markChecked('thing', '1:x')],
    ['a transaction', (store) => store.transaction().begin()],
    ['the use of one', (store) => store.transaction().store.findResource('a')],
    ['a query in one', (store) => store.transaction().db.selectFrom('notes').execute()],
  ])('turns %s away with storage_busy when it takes too long', async (_, call) => {
    const { store, transaction } = await setupOpen(openStore, 30)
    await note(transaction, 'mine')

    const error = await failureOf(call(store))

    expect(error).toMatchObject({ code: 'storage_busy', retryable: true })
    expect(error.message).toContain('transaction')
    await note(transaction, 'mine too')
    await transaction.commit()
    expect(await notesIn(store)).toEqual(['mine', 'mine too'])
  })

  test('refuses those who wait when its store is closed', async () => {
    const { store, transaction } = await setupOpen(openStore)
    await note(transaction, 'mine')
    const waiting = [
      failureOf(store.findResource('before')),
      failureOf(write(store, { created: [rowOf('a')] })),
      failureOf(store.markChecked('thing', '1:x')),
      failureOf(store.transaction().begin()),
    ]

    await store.close()

    for (const { code } of await Promise.all(waiting)) expect(code).toBe('closed')
  })
}
