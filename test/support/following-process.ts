import { createEngine } from '../../src/index.ts'
import type { AnyEngine } from './engine.ts'

const [mode = '', database = ''] = process.argv.slice(2)
const options = { database, durability: 'relaxed' as const }
const engine = (await createEngine(options)) as unknown as AnyEngine & {
  readonly agents: { create(input: unknown): Promise<unknown> }
}

/** Handles one event for ever, having told of it. */
function hold(): Promise<unknown> {
  return engine.consume('mailer', { lease: 400 }, (event) => {
    process.send?.(event.id)
    return new Promise(() => {})
  })
}

/** Follows the log in every way, closes the engine, and leaves the rest to it. */
async function follow(): Promise<void> {
  await engine.agents.create({ name: 'A' })
  const subscribed = new Promise<void>((resolve) => void subscribe(resolve))
  const consumed = new Promise<void>((resolve) => {
    engine.consume('mailer', {}, () => resolve()).catch(() => {})
  })
  await Promise.all([subscribed, consumed])
  await engine.close()
}

async function subscribe(seen: () => void): Promise<void> {
  for await (const _ of engine.events.subscribe({ from: 'start' })) seen()
}

// Nothing but `close` may end the process in the end: a handle that is left would keep it alive.
if (mode === 'hold') await hold()
else await follow()
