import { setImmediate } from 'node:timers/promises'
import { type AnyTestEngine, type AnyTransaction, setupEngine } from './engine.ts'
import { makeNotes, type Noted } from './raw.ts'
import { temporaryFile } from './temp.ts'

/** An engine with a fake clock on a file that has a table for notes. */
export async function setup(options: object = {}): Promise<Noted<AnyTestEngine>> {
  const database = temporaryFile()
  const engine = await setupEngine({ database, ...options })
  return { database, engine, raw: makeNotes(database) }
}

/** Writes a note in a transaction. */
export function note(tx: AnyTransaction, id: string, n = 1): Promise<unknown> {
  return tx.db.insertInto('notes').values({ id, text: 'mine', n }).execute()
}

/** Throws, as a transaction may at its end. */
export function fail(): never {
  throw new Error('the user changed her mind')
}

/** Lets the event loop turn so many times. */
export async function turns(count: number): Promise<void> {
  for (let turn = 0; turn < count; turn++) await setImmediate()
}
