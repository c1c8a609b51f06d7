/** Which places of the log belong to a time? @module */

import { firstIdAt } from '../../ids.ts'
import type { Session } from './session.ts'
import type { Slot, Statements } from './statement.ts'

/** Finds places by times. Clocks differ: what comes later in the log may have an earlier time. */
export interface Places {
  /** The first place with an entry from a time on; undefined when there is none. */
  first(session: Session, time: number): Promise<number | undefined>
  /** The last place with an entry from before a time; 0 when there is none. */
  last(session: Session, time: number): Promise<number>
}

// So many entries are looked at for one from a clock that differs, and as many again as long as there is one.
const NEIGHBOURS = 1000

/** Prepares finding places: an id begins with its time, so their index is one of times as well. */
export function createPlaces(statements: Statements): Places {
  const [after, before] = [byId(statements, 'asc'), byId(statements, 'desc')]
  const [earlier, later] = [around(statements, 'asc'), around(statements, 'desc')]
  return {
    first: async (session, time) => {
      let place = (await after.get(session, { id: firstIdAt('evt', time) }))?.seq
      for (let found = place; found !== undefined; ) {
        place = found
        const low = place - NEIGHBOURS
        found = (await earlier.get(session, { time, low, high: place - 1 }))?.seq
      }
      return place
    },
    last: async (session, time) => {
      let place = (await before.get(session, { id: firstIdAt('evt', time) }))?.seq ?? 0
      for (let found: number | undefined = place; found !== undefined; ) {
        place = found
        const high = place + NEIGHBOURS
        found = (await later.get(session, { time, low: place + 1, high }))?.seq
      }
      return place
    },
  }
}

function byId({ queries, prepare }: Statements, order: 'asc' | 'desc') {
  return prepare((slot: Slot<'id'>) =>
    queries
      .selectFrom('pawl_events')
      .select('seq')
      .where('id', order === 'asc' ? '>=' : '<', slot('id'))
      .orderBy('id', order)
      .limit(1),
  )
}

function around({ queries, prepare }: Statements, order: 'asc' | 'desc') {
  return prepare((slot: Slot<'time' | 'low' | 'high'>) =>
    queries
      .selectFrom('pawl_events')
      .select('seq')
      .where('seq', '>=', slot('low'))
      .where('seq', '<=', slot('high'))
      .where('created_at', order === 'asc' ? '>=' : '<', slot('time'))
      .orderBy('seq', order)
      .limit(1),
  )
}
