import { expect } from 'vitest'
import {
  type AnyOutcome,
  type AnyResource,
  type AnyTestEngine,
  type Attempt,
  type Command,
  expectVerified,
  handleOf,
  openEngine,
  publicLog,
  reopen,
} from './engine.ts'
import { viewOf } from './errors.ts'
import type { GameMove } from './game-moves.ts'
import { lifecycleOf } from './lifecycles.ts'
import { createThing, passTime, sendTo, type Verdict } from './model.ts'
import { isAccepted, type ModelCommand } from './model-rules.ts'
import { createModel, type Model, type Thing, thing, thingsOf } from './model-state.ts'

interface Game {
  engine: AnyTestEngine
  readonly options: Readonly<Record<string, unknown>>
  readonly model: Model
  /** The id in the engine of each thing of the model. */
  readonly ids: Map<string, string>
  seen: number
}

const OPENING: readonly GameMove[] = ['agent', 'source', 'source', 'task', 'task']
  .concat(['credential', 'credential', 'session', 'task_run'])
  .map((type) => ({ do: 'create', type, picks: [0, 0, 0, 0] }))

/** Plays moves on the engine and on the model, comparing all that they show after each. */
export async function playGame(database: string, moves: readonly GameMove[]): Promise<void> {
  const options = { database, durability: 'relaxed' }
  const engine = await openEngine(options)
  const game: Game = { engine, options, model: createModel(), ids: new Map(), seen: 0 }
  try {
    for (const [index, move] of [...OPENING, ...moves].entries()) {
      await play(game, move, `move ${index - OPENING.length}: ${JSON.stringify(move)}`)
    }
    await expectVerified(game.engine)
  } finally {
    await game.engine.close()
  }
}

async function play(game: Game, move: GameMove, label: string): Promise<void> {
  if (move.do === 'restart') {
    game.engine = await reopen(game.engine, game.options)
  } else if (move.do === 'advance') {
    await game.engine.clock.advance(move.ms)
    passTime(game.model, move.ms)
  } else if (move.do === 'create') {
    await create(game, move, label)
  } else if (move.do === 'step') {
    await step(game, move, label)
  } else {
    await send(game, move, label)
  }
  await compare(game, label)
}

function pick(game: Game, type: string, index: number): Thing {
  const things = thingsOf(game.model, type)
  const found = things.at(-1 - (index % things.length))
  if (found === undefined) throw new Error(`the game has no ${type}`)
  return found
}

function idOf(game: Game, key: string): string {
  const id = game.ids.get(key)
  if (id === undefined) throw new Error(`the engine has no ${key}`)
  return id
}

/** What a new thing refers to: for a run, by the last pick, a login, a source or both. */
function refsFor(game: Game, type: string, picks: readonly number[]): Thing['refs'] {
  const [a = 0, b = 0, c = 0, d = 0] = picks
  if (type === 'task') return { agent: pick(game, 'agent', a).key }
  if (type === 'credential') return { source: pick(game, 'source', a).key }
  if (type !== 'task_run') return {}
  return {
    task: pick(game, 'task', a).key,
    credential: d === 1 ? null : pick(game, 'credential', b).key,
    source: d === 1 || d === 2 ? pick(game, 'source', b).key : null,
    session: c === 0 ? null : pick(game, 'session', c - 1).key,
  }
}

const INPUTS: Readonly<Record<string, object>> = {
  agent: { name: 'A' },
  source: { type: 'website', website: { url: 'https://s.example' } },
  task: { name: 'T' },
  credential: {
    auth_method: 'username_password',
    auth_credentials: { username: 'ada', password: 'pw' },
  },
}

function loginOf(type: string): string {
  return type === 'credential' ? JSON.stringify({ username: 'ada', password: 'pw' }) : ''
}

type Create = Extract<GameMove, { do: 'create' }>
type Send = Extract<GameMove, { do: 'send' }>
type Step = Extract<GameMove, { do: 'step' }>

async function create(game: Game, { type, picks }: Create, label: string): Promise<void> {
  const refs = refsFor(game, type, picks)
  const given = Object.entries(refs).filter(([, key]) => key !== null)
  const ids = given.map(([name, key]) => [`${name}_id`, idOf(game, key ?? '')])
  const input = { ...INPUTS[type], ...Object.fromEntries(ids) }
  const handle = handleOf(game.engine, lifecycleOf(type).property)

  const answer = await attempt(() => handle.create(input))
  const verdict = createThing(game.model, type, refs, { login: loginOf(type) })

  judge(answer, verdict, label)
  if (!answer.ok || !verdict.ok) return
  game.ids.set(verdict.key, answer.resource.id)
  if (type !== 'task_run') return
  const { session } = thing(game.model, verdict.key).refs
  game.ids.set(session ?? '', String(answer.resource.session_id))
}

async function step(game: Game, move: Step, label: string): Promise<void> {
  const willing = thingsOf(game.model, move.type).filter((each) => {
    return move.commands.some((command) => isAccepted(each, command))
  })
  const target = willing.at(-1 - (move.pick % willing.length))
  if (target === undefined) return
  const accepted = move.commands.filter((command) => isAccepted(target, command))
  const command = accepted[move.choice % accepted.length]
  if (command === undefined) return
  await sendTarget(game, target, command, `${label}: ${command.type}`)
}

async function send(game: Game, move: Send, label: string): Promise<void> {
  await sendTarget(game, pick(game, move.type, move.pick), move.command, label)
}

async function sendTarget(
  game: Game,
  target: Thing,
  modelCommand: ModelCommand,
  label: string,
): Promise<void> {
  const handle = handleOf(game.engine, lifecycleOf(target.type).property)
  const command = modelCommand as unknown as Command

  const answer = await attempt(() => handle.send(idOf(game, target.key), command))
  const verdict = sendTo(game.model, target.key, modelCommand)

  judge(answer, verdict, label)
}

async function attempt(call: () => Promise<AnyOutcome>): Promise<Attempt> {
  try {
    return { ok: true, ...(await call()) }
  } catch (error) {
    return { ok: false, error: error as Error & { code: string } }
  }
}

function judge(answer: Attempt, verdict: Verdict, label: string): void {
  const actual = answer.ok ? { changed: answer.changed } : viewOf(answer.error)
  const { ok, ...refused } = verdict
  const expected = verdict.ok ? { changed: verdict.changed } : refused
  expect(actual, `${label} (${ok ? 'legal' : 'refused'})`).toMatchObject(expected)
}

async function compare(game: Game, label: string): Promise<void> {
  const log = await publicLog(game.engine)
  const happened = log.slice(game.seen).map(({ type, resource_id }) => [type, resource_id])
  const shown = game.model.events.filter(({ internal }) => !internal)
  const expected = shown.map(({ type, key }) => [type, idOf(game, key)])
  game.seen = log.length
  game.model.events = []
  expect(happened, `${label}: events`).toEqual(expected)

  for (const each of game.model.things.values()) {
    const handle = handleOf(game.engine, lifecycleOf(each.type).property)
    const resource = await handle.get(idOf(game, each.key))
    expect(resource, `${label}: ${each.key}`).toMatchObject(shownBy(game, each, resource))
  }
}

/** What the resource of a thing has to show. */
function shownBy(game: Game, each: Thing, resource: AnyResource): object {
  const { status, version, runtime_ms, result, errors } = each
  const common = { id: resource.id, status, version }
  if (each.type === 'task_run') return { ...common, runtime_ms, result, errors }
  if (each.type !== 'session') return common
  if (status === 'failed') return { ...common, runtime_ms, error: errors[0] }
  const task_runs = each.runs.map((key) => {
    const executing = thing(game.model, key).status !== 'queued'
    return { id: idOf(game, key), executing }
  })
  return { ...common, runtime_ms, task_runs, error: null }
}
