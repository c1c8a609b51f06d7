import type { AnyEngine, AnyHandle, AnyOutcome, AnyTestEngine, AnyTransaction } from './engine.ts'

/** The texts that a life is full of. */
export interface Texts {
  readonly password: string
  readonly nextPassword: string
  readonly otherPassword: string
  readonly field: string
  readonly answer: string
}

/** Takes everything that the engine gives to a caller, and that a caller may print. */
export type Keep = (value: unknown) => void

/** What came of a life that goes on. */
export interface Lived {
  readonly credential: string
  readonly destination: string
  /** The secrets of the destination, the oldest first. */
  readonly generated: readonly string[]
}

type Handles = Readonly<Record<string, AnyHandle>>

function handlesOf(engine: AnyEngine | AnyTransaction): Handles & {
  readonly [Name in 'sources' | 'credentials' | 'taskRuns' | 'eventDestinations']: AnyHandle
} {
  return engine as never
}

const METHOD = { auth_method: 'username_password' }

/** Keeps what a call gives but for the secrets that it shows, or what it throws. */
async function keepOf(keep: Keep, call: () => Promise<AnyOutcome>): Promise<AnyOutcome | null> {
  try {
    const { secrets, ...rest } = await call()
    keep(rest)
    return { ...rest, ...(secrets === undefined ? {} : { secrets }) }
  } catch (error) {
    keep(error)
    return null
  }
}

/** Has secrets go through everything that the engine does with them. */
export async function live(engine: AnyTestEngine, texts: Texts, keep: Keep): Promise<Lived> {
  const { sources } = handlesOf(engine)
  const website = { url: 'https://source.example' }
  const source = (await sources.create({ type: 'website', website })).resource.id
  const credential = await haveCredential(engine, source, texts, keep)
  await mistakeCredential(engine, { source, credential }, texts, keep)
  await haveRun(engine, source, credential, texts, keep)
  const { destination, generated } = await haveDestination(engine, keep)
  await readBack(engine, [credential, destination], keep)
  return { credential, destination, generated }
}

/** Creates, changes and reveals a credential, and repeats all of it. */
async function haveCredential(
  engine: AnyEngine,
  source_id: string,
  texts: Texts,
  keep: Keep,
): Promise<string> {
  const { credentials } = handlesOf(engine)
  const { password, nextPassword, otherPassword, field } = texts
  const login = { username: 'ada', password, source_fields: { pin: field } }
  const input = { source_id, ...METHOD, auth_credentials: login }
  const key = { idempotencyKey: 'create', actor: { type: 'user', id: 'u' }, correlationId: 'c' }
  const made = await keepOf(keep, () => credentials.create(input, key))
  const id = made?.resource.id ?? ''
  const other = { ...input, auth_credentials: { ...login, password: otherPassword } }
  const next = { username: 'ada', password: nextPassword, source_fields: { pin: field } }
  const update = { type: 'update', auth_credentials: next }
  await keepOf(keep, () => credentials.create(input, key))
  await keepOf(keep, () => credentials.create(other, key))
  await keepOf(keep, () => credentials.send(id, update, { expectedVersion: 7 }))
  await keepOf(keep, () => credentials.send(id, update, { idempotencyKey: 'update' }))
  await keepOf(keep, () => credentials.send(id, update, { idempotencyKey: 'update' }))
  await keepOf(keep, () => credentials.send('cred_none', update))
  keep(await credentials.trySend(id, update, { expectedVersion: 7 }))
  keep(await credentials.explain(id, update))
  await credentials.reveal(id)
  await engine
    .transaction(async (tx) => {
      await handlesOf(tx).credentials.send(id, update)
      throw new Error('the caller changed her mind')
    })
    .catch(keep)
  return id
}

/** Gives the secrets in every wrong way. */
async function mistakeCredential(
  engine: AnyEngine,
  { source, credential }: { readonly source: string; readonly credential: string },
  { password, field }: Texts,
  keep: Keep,
): Promise<void> {
  const { credentials } = handlesOf(engine)
  const login = { username: 'ada', password }
  const circular: Record<string, unknown> = { ...login }
  circular.self = circular
  const wrong: readonly unknown[] = [
    password,
    [password],
    { ...login, username: '' },
    { ...login, username: 5 },
    { username: 'ada', password: { text: password } },
    { username: 'ada', password: [password] },
    { username: 'ada', password: Symbol(password) },
    { username: 'ada', password: () => password },
    { username: 'ada', password: new Map([[password, password]]) },
    { username: 'ada', password: `${password}\ud800` },
    { username: 'ada', password: password.repeat(5000) },
    { ...login, unknown: password },
    { ...login, source_fields: field },
    { ...login, source_fields: { pin: [field] } },
    { ...login, source_fields: { pin: field, other: 5 } },
    circular,
  ]
  for (const auth_credentials of wrong) {
    await keepOf(keep, () => credentials.create({ source_id: source, ...METHOD, auth_credentials }))
    await keepOf(keep, () => credentials.send(credential, { type: 'update', auth_credentials }))
    await credentials.explain(credential, { type: 'update', auth_credentials }).then(keep, keep)
  }
  const inputs = [
    { source_id: source, auth_credentials: login },
    { source_id: source, auth_method: 'none', auth_credentials: login },
    { source_id: source, auth_method: 'telepathy', auth_credentials: login },
    { source_id: 'src_none', ...METHOD, auth_credentials: login },
    { ...METHOD, auth_credentials: login },
    { source_id: source, ...METHOD, auth_credentials: login, more: 1 },
  ]
  for (const input of inputs) await keepOf(keep, () => credentials.create(input))
  const bare = await credentials.create({ source_id: source })
  const update = { type: 'update', auth_credentials: login }
  await keepOf(keep, () => credentials.send(bare.resource.id, update))
  await credentials.send(bare.resource.id, { type: 'delete' })
  await keepOf(keep, () => credentials.send(bare.resource.id, update))
}

/** Runs a task with the credential, answers its question, and has its login rejected. */
async function haveRun(
  engine: AnyTestEngine,
  source_id: string,
  credential_id: string,
  { answer }: Texts,
  keep: Keep,
): Promise<void> {
  const { agents, tasks, sessions, taskRuns } = handlesOf(engine) as Handles
  if (!(agents && tasks && sessions && taskRuns)) throw new Error('this is no agent platform')
  const agent_id = (await agents.create({ name: 'A' })).resource.id
  const task_id = (await tasks.create({ name: 'T', agent_id })).resource.id
  const input = { task_id, credential_id, source_id }
  const made = await keepOf(keep, () => taskRuns.create(input))
  const id = made?.resource.id ?? ''
  const answered = { type: 'submit_interaction', input: { code: answer } }
  const send = (command: { type: string }, options = {}) =>
    keepOf(keep, () => taskRuns.send(id, command, options))
  await send(answered)
  await sessions.send(String(made?.resource.session_id), { type: 'start' })
  await send({ type: 'start' })
  const fields = [{ name: 'code', type: 'text', label: 'Code' }]
  const interaction = { type: 'mfa', message: 'Enter the code', fields }
  const ask = { type: 'require_interaction', interaction }
  await send(ask)
  const wrong = [answer, [answer], { other: answer }, { code: Symbol(answer) }, null]
  for (const input of wrong) await send({ ...answered, input } as never)
  keep(await taskRuns.explain(id, answered))
  keep(await engine.timers.list())
  await send(answered, { idempotencyKey: 'answer', expectedVersion: 9 })
  await send(answered, { idempotencyKey: 'answer' })
  await send(answered, { idempotencyKey: 'answer' })
  await send({ ...answered, input: { code: `${answer}!` } } as never, { idempotencyKey: 'answer' })
  await send({ type: 'login_rejected', reason: 'wrong password' } as never)
  await send(answered)
  await engine.clock.advance('1h')
}

/** Makes a destination and rotates its secret, again and again under one key. */
async function haveDestination(engine: AnyEngine, keep: Keep) {
  const { eventDestinations } = handlesOf(engine)
  const input = { name: 'H', webhook: { url: 'https://hooks.example/in' }, events: ['*'] }
  const create = () => eventDestinations.create(input, { idempotencyKey: 'destination' })
  const made = await keepOf(keep, create)
  const destination = made?.resource.id ?? ''
  const rotate = () =>
    eventDestinations.send(destination, { type: 'rotate_secret' }, { idempotencyKey: 'rotate' })
  const rotated = await keepOf(keep, rotate)
  const shown = [made, await keepOf(keep, create), rotated, await keepOf(keep, rotate)]
  await eventDestinations.reveal(destination)
  const generated = shown.map((outcome) => outcome?.secrets?.secret ?? '')
  return { destination, generated: [...new Set(generated)] }
}

/** Reads everything that can be read. */
export async function readBack(
  engine: AnyEngine,
  ids: readonly string[],
  keep: Keep,
): Promise<void> {
  for await (const event of await engine.events.list({ internal: true, order: 'asc' })) keep(event)
  for await (const timer of await engine.timers.list()) keep(timer)
  const { credentials, eventDestinations } = handlesOf(engine)
  for (const handle of [credentials, eventDestinations]) {
    for await (const resource of await handle.list()) keep(resource)
  }
  for (const [index, id] of ids.entries()) {
    const handle = index === 0 ? credentials : eventDestinations
    keep(await handle.get(id))
    keep(await handle.accepts(id))
    for await (const entry of await handle.history(id)) keep(entry)
  }
  keep(await engine.verify())
  keep(engine)
}
