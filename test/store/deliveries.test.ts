/** Does SQLite keep deliveries right that a file has otherwise than pawl would write them? @module */

import { expect, onTestFinished, test } from 'vitest'
import { openSqliteStore } from '../../src/store/sqlite/store.ts'
import { openRaw } from '../support/raw.ts'
import { temporaryFile } from '../support/temp.ts'
import { change, ENDED, giveOut, setup } from './delivery-rows.ts'

test('a destination that has been deleted holds no event back from being pruned, though a delivery has been left open', async () => {
  const database = temporaryFile()
  const { store } = await setup(async (busyTimeout = 1000) => {
    const opened = await openSqliteStore({ database, durability: 'relaxed', busyTimeout })
    onTestFinished(() => opened.close())
    return opened
  })
  await giveOut(store, 2)
  await change(store, ENDED)
  openRaw(database).exec("update pawl_deliveries set status = 'pending', open = 1")
  const slowest: unknown[] = []

  await store.pruneLog(0, 10, (view) => {
    slowest.push(view.slowest)
    return { through: null, bases: [] }
  })

  expect(slowest).toEqual([undefined])
})
