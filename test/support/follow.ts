import { type AnyEngine, type AnyEvent, handleOf } from './engine.ts'
import { type ErrorView, failureOf } from './errors.ts'

/** Reads so many events and leaves. */
export async function take(events: AsyncIterable<AnyEvent>, count: number): Promise<AnyEvent[]> {
  const seen: AnyEvent[] = []
  if (count === 0) return seen
  for await (const event of events) {
    seen.push(event)
    if (seen.length === count) break
  }
  return seen
}

/** Starts to read, from the start unless the filter says otherwise. */
export function follow(
  engine: AnyEngine,
  filter: Readonly<Record<string, unknown>>,
): AsyncIterator<AnyEvent> {
  return engine.events.subscribe({ from: 'start', ...filter })[Symbol.asyncIterator]()
}

/** Reads to the end. An abort may end an iteration as an error of its own, or without one. */
export async function drain(
  events: AsyncIterable<AnyEvent>,
  signal: AbortSignal,
): Promise<AnyEvent[]> {
  const seen: AnyEvent[] = []
  try {
    for await (const event of events) seen.push(event)
  } catch (error) {
    if (error !== signal.reason && (error as Error).name !== 'AbortError') throw error
  }
  return seen
}

/** What a subscription fails with, whether at once or when it is read. */
export function refusal(
  engine: AnyEngine,
  filter: Readonly<Record<string, unknown>>,
): Promise<ErrorView> {
  return failureOf(async () => {
    for await (const _ of engine.events.subscribe(filter)) break
  })
}

/** Makes so many agents, one after the other. */
export async function makeAgents(engine: AnyEngine, count: number): Promise<void> {
  for (let i = 0; i < count; i++) await handleOf(engine, 'agents').create({ name: `${i}` })
}
