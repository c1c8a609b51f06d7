/** What does somebody see who follows a log all the time? @module */

import { setInterval } from 'node:timers/promises'
import type pg from 'pg'
import { until } from '../../support/until.ts'
import type { FastEngine } from '../fast-platform.ts'

/** Reads the log as whoever follows a table by its numbers does, again and again; gives what ends that. */
export function poll(raw: pg.Pool): () => Promise<number[]> {
  const seen: number[] = []
  const read = async (): Promise<void> => {
    const text = 'select seq::int from pawl_events where seq > $1 order by seq'
    const { rows } = await raw.query(text, [seen.at(-1) ?? 0])
    seen.push(...rows.map(({ seq }) => seq))
  }
  const stop = new AbortController()
  const polling = (async () => {
    // As often as it can, and the processes would get nothing done.
    for await (const _ of setInterval(5)) {
      if (stop.signal.aborted) return
      // The server may be away: the next read goes on from the same place, and the last one has to succeed.
      await read().catch(() => {})
    }
  })()
  return async () => {
    stop.abort()
    await polling
    await read()
    return seen
  }
}

/** Follows the events of an engine; gives what waits for the last one. */
export function follow(engine: FastEngine): (last: number) => Promise<number[]> {
  const seen: number[] = []
  void (async () => {
    for await (const { seq } of engine.events.subscribe({ from: 'start' })) seen.push(seq)
  })()
  return async (last) => {
    await until(() => seen.at(-1) === last, 'the last event of the follower')
    return seen
  }
}
