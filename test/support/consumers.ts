import { type AnyEngine, type AnyEvent, type Handler, setupRealEngine } from './engine.ts'
import { makeNotes, type Noted } from './raw.ts'
import { temporaryFile } from './temp.ts'
import { until } from './until.ts'

/** Runs a consumer whose failures are retried soon, until it is stopped. */
export function consume(engine: AnyEngine, name: string, options: object, handler: Handler) {
  const stopper = new AbortController()
  const all = { backoff: 1, signal: stopper.signal, ...options }
  const settled = Promise.allSettled([engine.consume(name, all, handler)])
  const stop = async () => {
    stopper.abort()
    await settled
  }
  return { settled, stop }
}

/** A handler that keeps what it gets. */
export function keeping() {
  const seen: AnyEvent[] = []
  const handler: Handler = (event) => void seen.push(event)
  const untilSeen = (count: number) => until(() => seen.length >= count, `event ${count}`)
  return { seen, handler, untilSeen }
}

/** An engine on a file that has a table for notes. */
export async function setupNotes(options: object = {}): Promise<Noted<AnyEngine>> {
  const database = temporaryFile()
  const engine = await setupRealEngine({ database, ...options })
  return { database, engine, raw: makeNotes(database) }
}
