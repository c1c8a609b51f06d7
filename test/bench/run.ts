/** `npm run bench`: how fast is pawl, and how fast could it be on this machine? @module */

import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { availableParallelism } from 'node:os'
import { join } from 'node:path'
import { measureEntries, PEERS } from './contenders.ts'
import { CONTRACT, judge, SERVER_CONTRACT } from './contract.ts'
import { BARE, measureDeliver } from './deliver.ts'
import { type Filled, fill } from './filled.ts'
import { type Found, merge, type Rate } from './found.ts'
import { measureHistory } from './history.ts'
import { measureOpen } from './open.ts'
import { type Asked, parseOptions, type Sizes } from './options.ts'
import { measurePhases, type Phase } from './phases.ts'
import { measurePostgres, POSTGRES_PEERS } from './postgres.ts'
import { measureSize } from './size.ts'
import { measureSubscribe } from './subscribe.ts'
import { phaseLines, type Result, table, verdictLines } from './table.ts'
import { measureTimers } from './timers.ts'

async function measureAll(asked: Asked, folder: string): Promise<Found> {
  const { sizes, store, isAsked } = asked
  if (store === 'postgres') return measurePostgres(sizes.rounds, sizes)
  const needsLogs = isAsked('history', 'subscribe', 'open')
  const logs = needsLogs ? await fillLogs(folder, sizes) : null
  const found: Found[] = []
  if (logs !== null && isAsked('history')) found.push(await measureHistory(logs.few, logs.many))
  if (logs !== null && isAsked('open')) found.push(await measureOpen(logs.many))
  if (isAsked('size')) found.push(await measureSize(folder))
  for (let round = 1; round <= sizes.rounds; round++) {
    const files = join(folder, `round-${round}`)
    mkdirSync(files)
    found.push(...(await measureRound(asked, files, logs?.many ?? null)))
    rmSync(files, { recursive: true })
  }
  return merge(found)
}

/** Everything in turn, round by round: what disturbs the machine disturbs all of them. */
async function measureRound(
  { sizes, entries, isAsked }: Asked,
  files: string,
  log: Filled | null,
): Promise<readonly Found[]> {
  const found = [await measureEntries(files, entries)]
  if (isAsked('timers')) found.push(await measureTimers(join(files, 'timers.db'), sizes.timers))
  if (isAsked('deliver')) found.push(await measureDeliver(files, sizes.deliveries))
  if (log !== null && isAsked('subscribe')) found.push(await measureSubscribe(log))
  return found
}

async function fillLogs(folder: string, { few, many }: Sizes) {
  return {
    few: await fill(join(folder, 'few.db'), few),
    many: await fill(join(folder, 'many.db'), many),
  }
}

function compare(rates: readonly Rate[], peers: readonly string[]): readonly Result[] {
  return rates.map((rate) => {
    const others = rates.filter(
      ({ name, durability }) => peers.includes(name) && durability === rate.durability,
    )
    const ratios = others.map((peer) => [peer.name, rate.perSecond / peer.perSecond])
    return { ...rate, ratios: Object.fromEntries(ratios) }
  })
}

const STORES = {
  sqlite: { contract: CONTRACT, peers: [...PEERS, BARE], shown: PEERS },
  postgres: { contract: SERVER_CONTRACT, peers: POSTGRES_PEERS, shown: POSTGRES_PEERS },
}

function report({ rates, figures }: Found, phases: readonly Phase[], asked: Asked): void {
  const { contract, peers, shown } = STORES[asked.store]
  const { rounds } = asked.sizes
  const results = compare(rates, peers)
  const verdicts = judge(contract, results, figures)
  const machine = { node: process.version, cores: availableParallelism(), rounds }
  console.log(`Node ${machine.node}, ${machine.cores} cores, median of ${rounds} rounds\n`)
  if (results.length > 0) console.log(`${table(results, shown)}\n`)
  console.log(verdictLines(verdicts))
  if (phases.length > 0)
    console.log(`\npawl/64, full: where the time goes\n\n${phaseLines(phases)}`)
  const all = { ...machine, results, figures, verdicts, phases }
  writeFileSync('test/bench/results.json', `${JSON.stringify(all, null, 2)}\n`)
}

const asked = parseOptions(process.argv.slice(2))
// Beside this file, not in the system's temporary folder: that one may be memory, where nothing is durable.
const folder = mkdtempSync(join(import.meta.dirname, 'files-'))
// They are large: whoever stops the run half-way does not want to keep them.
process.on('exit', () => rmSync(folder, { recursive: true, force: true }))
for (const signal of ['SIGINT', 'SIGTERM'] as const) process.once(signal, () => process.exit(1))
const found = await measureAll(asked, folder)
const phases =
  asked.store === 'sqlite' && asked.isAsked('phases') ? await measurePhases(folder) : []
report(found, phases, asked)
