/** Does a command cost more among very many resources and events? @module */

import { join } from 'node:path'
import Database from 'better-sqlite3'
import type { Figure, Found } from './found.ts'
import { type Contender, drive, measure, quantile, TASKS, times, turns } from './measure.ts'
import { type AgentEngine, createTasks, openEngine } from './pawl.ts'

// With the one of its creation, each task has ten events. An odd number of turns leaves all in the same state.
const CHANGES = 9

// How many times as many there are. In both, each task that is commanded has a page of the table to itself: the
// size is compared, not how near to one another they happen to be.
const FEW = 20
// 10⁶ tasks and 10⁷ events: more than any cache holds.
const MANY = 1000

const ROUNDS = 3

/** Commands as many tasks, scattered over it, in a small database and in one that is fifty times as large. */
export async function measureSize(folder: string): Promise<Found> {
  const [few, many] = [join(folder, 'small.db'), join(folder, 'large.db')]
  const tasks = [await fill(few, FEW), await fill(many, MANY)] as const
  const engines = [await openEngine(few, 'full'), await openEngine(many, 'full')] as const
  const contenders = [contender(engines[0], tasks[0]), contender(engines[1], tasks[1])] as const
  const figures: Figure[] = []
  for (const callers of [64, 1]) {
    const found: [number[], number[]] = [[], []]
    for (let round = 0; round < ROUNDS; round++) {
      found[0].push((await measure(contenders[0], callers)).perSecond)
      found[1].push((await measure(contenders[1], callers)).perSecond)
    }
    figures.push(compared(callers, found))
  }
  for (const { close } of contenders) await close()
  return { rates: [], figures }
}

/** Commands the tasks in turn, and goes on where it was when it is measured again. */
function contender(engine: AgentEngine, tasks: readonly string[]): Contender {
  const turn = turns(TASKS)
  return {
    change: () => {
      const { task, command } = turn()
      return engine.tasks.send(tasks[task] ?? '', { type: command })
    },
    close: () => engine.close(),
  }
}

function compared(callers: number, [few, many]: readonly [number[], number[]]): Figure {
  const [small, large] = [quantile(few, 0.5), quantile(many, 0.5)]
  const rate = (perSecond: number) => `${Math.round(perSecond).toLocaleString('en')} per second`
  const note = `${rate(small)} among ${TASKS * FEW} tasks, ${rate(large)} among ${TASKS * MANY}`
  return { name: `size/${callers}`, value: small / large, unit: '×', note }
}

async function fill(file: string, copies: number): Promise<readonly string[]> {
  const engine = await openEngine(file, 'relaxed')
  const tasks = await createTasks(engine, TASKS)
  const turn = turns(TASKS)
  await drive(64, times(TASKS * CHANGES), () => {
    const { task, command } = turn()
    return engine.tasks.send(tasks[task] ?? '', { type: command })
  })
  await engine.close()
  return multiply(file, copies)
}

/** Copies all rows under other ids and places; gives the ids of as many tasks, each far from the next. */
function multiply(file: string, copies: number): readonly string[] {
  const database = new Database(file)
  database.pragma('synchronous = off')
  const count = (table: string) => database.prepare(`select count(*) from ${table}`).pluck().get()
  const sizes = { events: count('pawl_events'), resources: count('pawl_resources') }
  const statements = Object.entries(COPIED).map(([table, values]) =>
    copying(database, table, values),
  )
  const copy = database.transaction((number: number) => {
    for (const statement of statements) statement.run({ ...sizes, number })
  })
  for (let number = 1; number < copies; number++) copy(number)
  const tasks = database
    .prepare("select id from pawl_resources where type = 'task' order by position")
    .pluck()
  const spread = (tasks.all() as string[]).filter((_, place) => place % copies === 0)
  database.close()
  return spread
}

const PLACE = 'seq + @number * @events'
const POSITION = 'position + @number * @resources'
const RESOURCE = "resource_id || '_' || @number"
const EVENT = `'evt_' || printf('%010d', ${PLACE})`

/** What a copy has other values for: where it stands, and what it is called. */
const COPIED: Readonly<Record<string, Readonly<Record<string, string>>>> = {
  pawl_resources: {
    position: POSITION,
    id: "id || '_' || @number",
    latest: 'latest + @number * @events',
  },
  pawl_references: { resource_id: RESOURCE, position: POSITION },
  pawl_events: {
    seq: PLACE,
    id: EVENT,
    resource_id: RESOURCE,
    previous: 'iif(previous = 0, 0, previous + @number * @events)',
  },
  pawl_listing: { seq: PLACE, id: EVENT },
  pawl_statuses: { position: POSITION },
}

const PLACES = { pawl_events: 'seq <= @events', pawl_listing: 'seq <= @events' } as const

function copying(
  database: Database.Database,
  table: string,
  values: Readonly<Record<string, string>>,
) {
  const names = database
    .prepare('select name from pragma_table_info(?)')
    .pluck()
    .all(table) as string[]
  const columns = names.map((name) => values[name] ?? `"${name}"`)
  const originals = PLACES[table as keyof typeof PLACES] ?? 'position <= @resources'
  return database.prepare(
    `insert into ${table} (${names.join(', ')}) select ${columns.join(', ')} from ${table} where ${originals}`,
  )
}
