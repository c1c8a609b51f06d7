import { describe, expect, onTestFinished, test } from 'vitest'
import { createIds } from '../../src/ids.ts'
import * as pawl from '../../src/index.ts'
import { createKeys, parseKeys } from '../../src/runtime/keys.ts'
import {
  type AnyEngine,
  type AnyTestEngine,
  fullLog,
  handleOf,
  openEngine,
  publicLog,
  setupEngine,
} from '../support/engine.ts'
import { caught, failureOf } from '../support/errors.ts'
import { openRaw } from '../support/raw.ts'
import { temporaryFile } from '../support/temp.ts'
import {
  makeAgent,
  makeCredential,
  makeDestination,
  makeSource,
  NEW_LOGIN,
  send,
} from '../support/world.ts'

const [A, B, C] = ['a', 'b', 'c'].map((letter) => Buffer.alloc(32, letter).toString('base64'))

const HOOKS = { name: 'H', webhook: { url: 'https://hooks.example/in' }, events: ['*'] }

function reveal(engine: AnyEngine, id: string) {
  return handleOf(engine, 'credentials').reveal(id)
}

/** Opens a file with other keys; it closes with the test. */
async function openWith(database: string, ...encryptionKeys: unknown[]): Promise<AnyTestEngine> {
  const engine = await openEngine({ database, encryptionKeys })
  onTestFinished(() => engine.close())
  return engine
}

interface Sealed {
  readonly resource_id: string
  readonly name: string
  readonly envelope: Buffer
}

/** What a file keeps of secrets, and a way to change it. */
function vault(database: string) {
  const raw = openRaw(database)
  const put = (envelope: Buffer, { resource_id, name }: Sealed): void => {
    raw
      .prepare('update pawl_secrets set envelope = ? where resource_id = ? and name = ?')
      .run(envelope, resource_id, name)
  }
  const all = () => raw.prepare('select * from pawl_secrets').all() as Sealed[]
  const of = (id: string) => all().filter(({ resource_id }) => resource_id === id)
  return { all, of, put }
}

describe('reveal', () => {
  test('gives the secrets of a credential', async () => {
    const engine = await setupEngine()
    const { id } = await makeCredential(engine)

    expect(await reveal(engine, id)).toEqual({ password: 'first password' })
  })

  test('gives the newest', async () => {
    const engine = await setupEngine()
    const { id } = await makeCredential(engine)
    await send(engine, 'credential', id, { type: 'update', auth_credentials: NEW_LOGIN })

    expect(await reveal(engine, id)).toEqual({ password: 'second password' })
  })

  test('gives each secret as it went in', async () => {
    const engine = await setupEngine()
    const source_id = (await makeSource(engine)).id
    const source_fields = { pin: '0042', 'a.b': 'ünï ☃ "\\' }
    const password = ' 🔑 \u0000 "quoted"\n'
    const { resource } = await handleOf(engine, 'credentials').create({
      ...{ source_id, auth_method: 'username_password' },
      auth_credentials: { username: 'ada', password, source_fields },
    })

    expect(await reveal(engine, resource.id)).toEqual({ password, source_fields })
  })

  test('gives the secret of an event destination, also when it has been rotated', async () => {
    const engine = await setupEngine()
    const destinations = handleOf(engine, 'eventDestinations')
    const made = await destinations.create(HOOKS)
    const { id } = made.resource
    expect(await destinations.reveal(id)).toEqual({ secret: made.secrets?.secret })

    const rotated = await destinations.send(id, { type: 'rotate_secret' })

    expect(await destinations.reveal(id)).toEqual({ secret: rotated.secrets?.secret })
  })

  test('leaves an internal entry, without the secret', async () => {
    const engine = await setupEngine()
    const { id } = await makeCredential(engine)
    const before = await publicLog(engine)

    await reveal(engine, id)
    await reveal(engine, id)

    const entries = await fullLog(engine, { resource: id })
    expect(entries.slice(1)).toMatchObject([
      { type: 'credential.reveal', internal: true, resource_id: id },
      { type: 'credential.reveal', internal: true, resource_id: id },
    ])
    expect(await publicLog(engine)).toEqual(before)
    expect(JSON.stringify(entries)).not.toContain('first password')
    expect(await engine.verify()).toMatchObject({ ok: true, differences: [] })
  })

  test('leaves the resource as it is', async () => {
    const engine = await setupEngine()
    const { id } = await makeCredential(engine)
    const before = await handleOf(engine, 'credentials').get(id)

    await reveal(engine, id)

    const { status, auth_credentials } = await handleOf(engine, 'credentials').get(id)
    expect({ status, auth_credentials }).toEqual({
      status: before.status,
      auth_credentials: before.auth_credentials,
    })
  })

  test('gives nothing where there is nothing', async () => {
    const engine = await setupEngine()
    const source_id = (await makeSource(engine)).id
    const { resource } = await handleOf(engine, 'credentials').create({ source_id })

    expect(await reveal(engine, resource.id)).toEqual({})
  })

  test('knows no id of nobody, of another type or of another tenant', async () => {
    const engine = await setupEngine()
    const { id } = await makeCredential(engine.tenant('acme'))
    const agent = await makeAgent(engine)

    for (const other of ['cred_none', id, agent.id]) {
      expect((await failureOf(reveal(engine, other))).code).toBe('not_found')
    }
    expect(await reveal(engine.tenant('acme'), id)).toEqual({ password: 'first password' })
  })

  test('is over when the engine is closed', async () => {
    const engine = await openEngine()
    const { id } = await makeCredential(engine)
    await engine.close()

    expect((await failureOf(async () => reveal(engine, id))).code).toBe('closed')
  })
})

describe('the secret of a destination', () => {
  const hours = (count: number): number => count * 3_600_000

  /** What a file keeps of a destination, decrypted with a key. */
  function keptIn(database: string, id: string, key = A): Record<string, unknown> {
    const keys = createKeys(parseKeys([key ?? '']), createIds())
    const place = { type: 'event_destination', id }
    return Object.fromEntries(
      vault(database)
        .of(id)
        .map(({ name, envelope }) => [name, keys.open({ ...place, name }, envelope)]),
    )
  }

  async function setup() {
    const database = temporaryFile()
    const engine = await openWith(database, A)
    const { id } = await makeDestination(engine)
    const first = (await handleOf(engine, 'eventDestinations').reveal(id)).secret
    return { database, engine, id, first }
  }

  async function rotate(engine: AnyEngine, id: string): Promise<unknown> {
    return (await send(engine, 'event_destination', id, 'rotate_secret')).secrets?.secret
  }

  test('that was replaced is kept for a day, and never shown again', async () => {
    const { database, engine, id, first } = await setup()
    const start = engine.clock.now().getTime()

    const second = await rotate(engine, id)
    await engine.clock.advance('23h')
    const third = await rotate(engine, id)

    expect(keptIn(database, id)).toEqual({
      secret: third,
      'secret.retired': [
        { value: second, until: start + hours(47) },
        { value: first, until: start + hours(24) },
      ],
    })
    expect(await handleOf(engine, 'eventDestinations').reveal(id)).toEqual({ secret: third })
    await engine.clock.advance('1h')
    const fourth = await rotate(engine, id)
    expect(keptIn(database, id)).toEqual({
      secret: fourth,
      'secret.retired': [
        { value: third, until: start + hours(48) },
        { value: second, until: start + hours(47) },
      ],
    })
    expect(await engine.verify()).toMatchObject({ ok: true, differences: [] })
  })

  test('is one of eleven at most', async () => {
    const { database, engine, id, first } = await setup()
    const made = [first]
    for (let i = 0; i < 12; i++) made.push(await rotate(engine, id))

    const { secret, 'secret.retired': retired } = keptIn(database, id)

    const values = (retired as { value: unknown }[]).map(({ value }) => value)
    expect([secret, ...values]).toEqual(made.reverse().slice(0, 11))
  })

  test('is gone with all before it when the destination is deleted', async () => {
    const { database, engine, id } = await setup()
    await rotate(engine, id)

    await send(engine, 'event_destination', id, 'delete')

    expect(vault(database).of(id)).toEqual([])
  })

  test('is encrypted anew with all before it when keys are rotated', async () => {
    const { database, engine, id, first } = await setup()
    const second = await rotate(engine, id)
    const now = engine.clock.now()
    await engine.close()
    const rotating = await openEngine({ database, now, encryptionKeys: [B, A] })
    await rotating.rotateKeys()
    await rotating.close()

    const until = now.getTime() + hours(24)
    expect(keptIn(database, id, B)).toEqual({
      ...{ secret: second, 'secret.retired': [{ value: first, until }] },
    })
  })

  test('can be replaced when its key is lost, with that of those before it', async () => {
    const { database, engine, id } = await setup()
    await rotate(engine, id)
    await engine.close()
    const other = await openWith(database, B)

    const secret = await rotate(other, id)

    expect(keptIn(database, id, B)).toEqual({ secret })
    expect(await other.verify()).toMatchObject({ ok: true, differences: [] })
  })

  test('stays as it is when a replacement is taken back', async () => {
    const { database, engine, id, first } = await setup()
    const failing = engine.transaction(async (tx) => {
      await handleOf(tx, 'eventDestinations').send(id, { type: 'rotate_secret' })
      throw new Error('the caller changed her mind')
    })

    expect((await failing.catch((error: Error) => error)) as Error).toBeInstanceOf(Error)

    expect(keptIn(database, id)).toEqual({ secret: first })
  })
})

describe('what is deleted', () => {
  test('has no secret any more', async () => {
    const database = temporaryFile()
    const engine = await setupEngine({ database })
    const { id } = await makeCredential(engine)
    const other = await makeCredential(engine)
    const destination = await makeDestination(engine)
    expect(vault(database).of(id)).toHaveLength(1)

    await send(engine, 'credential', id, 'delete')
    await send(engine, 'event_destination', destination.id, 'delete')

    expect(vault(database).of(id)).toEqual([])
    expect(vault(database).of(destination.id)).toEqual([])
    const revealed = await reveal(engine, id).catch((error: unknown) => error)
    expect(JSON.stringify(revealed)).not.toContain('first password')
    expect(await reveal(engine, other.id)).toEqual({ password: 'first password' })
  })
})

describe('a ciphertext', () => {
  test('with any byte changed is decryption_failed', async () => {
    const database = temporaryFile()
    const engine = await setupEngine({ database })
    const { id } = await makeCredential(engine)
    const { of, put } = vault(database)
    const [sealed] = of(id)
    if (sealed === undefined) throw new Error('there is no secret')

    for (const [index, byte] of sealed.envelope.entries()) {
      const edited = Buffer.from(sealed.envelope)
      edited[index] = byte ^ (1 << (index % 8))
      put(edited, sealed)
      const error = await failureOf(reveal(engine, id))
      expect(error, `byte ${index}`).toMatchObject({ code: 'decryption_failed', resource_id: id })
      expect(JSON.stringify(error)).not.toContain('first password')
    }

    put(sealed.envelope, sealed)
    expect(await reveal(engine, id)).toEqual({ password: 'first password' })
  })

  test('that is cut, lengthened or empty is decryption_failed', async () => {
    const database = temporaryFile()
    const engine = await setupEngine({ database })
    const { id } = await makeCredential(engine)
    const { of, put } = vault(database)
    const [sealed] = of(id)
    if (sealed === undefined) throw new Error('there is no secret')
    const { envelope } = sealed

    const others = [0, 1, 12, 13, 28, envelope.length - 1].map((n) => envelope.subarray(0, n))
    for (const other of [...others, Buffer.concat([envelope, Buffer.alloc(1)])]) {
      put(other, sealed)
      expect((await failureOf(reveal(engine, id))).code).toBe('decryption_failed')
    }
  })

  test('of another resource, or of another secret, is decryption_failed', async () => {
    const database = temporaryFile()
    const engine = await setupEngine({ database })
    const one = await makeCredential(engine)
    const source_id = (await makeSource(engine)).id
    const two = await handleOf(engine, 'credentials').create({
      ...{ source_id, auth_method: 'username_password' },
      auth_credentials: { username: 'a', password: 'pw', source_fields: { pin: '1' } },
    })
    const { of, put } = vault(database)
    const [first] = of(one.id)
    const [second, third] = of(two.resource.id)
    if (!(first && second && third)) throw new Error('there are no secrets')

    put(first.envelope, second)
    put(second.envelope, first)
    expect((await failureOf(reveal(engine, one.id))).code).toBe('decryption_failed')
    expect((await failureOf(reveal(engine, two.resource.id))).code).toBe('decryption_failed')
    put(third.envelope, second)
    put(second.envelope, third)
    expect((await failureOf(reveal(engine, two.resource.id))).code).toBe('decryption_failed')
  })

  test('is another one each time, for the same secret', async () => {
    const database = temporaryFile()
    const engine = await setupEngine({ database })
    for (let i = 0; i < 5; i++) await makeCredential(engine)

    const envelopes = vault(database).all()

    expect(new Set(envelopes.map(({ envelope }) => envelope.toString('hex'))).size).toBe(5)
  })
})

describe('keys', () => {
  async function seal(database: string, ...keys: unknown[]): Promise<string> {
    const engine = await openEngine({ database, encryptionKeys: keys })
    const { id } = await makeCredential(engine)
    await engine.close()
    return id
  }

  test('are all tried to decrypt, and the first one encrypts', async () => {
    const database = temporaryFile()
    const old = await seal(database, A)
    const young = await seal(database, B, A)

    const both = await openWith(database, B, A)
    for (const id of [old, young]) expect(await reveal(both, id)).toHaveProperty('password')
    await both.close()

    const first = await openWith(database, B)
    expect(await reveal(first, young)).toEqual({ password: 'first password' })
    expect(await failureOf(reveal(first, old))).toMatchObject({
      ...{ code: 'decryption_failed', resource_id: old },
    })
  })

  test('that do not fit, or are none at all, decrypt nothing', async () => {
    const database = temporaryFile()
    const id = await seal(database, A)

    const wrong = await openWith(database, C)
    expect((await failureOf(reveal(wrong, id))).code).toBe('decryption_failed')
    await wrong.close()

    const none = await openWith(database)
    const { code } = await failureOf(reveal(none, id))
    expect(['encryption_key_missing', 'decryption_failed']).toContain(code)
  })

  test('can be left behind when they have been rotated', async () => {
    const database = temporaryFile()
    const ids = [await seal(database, A), await seal(database, A), await seal(database, B, A)]
    const rotating = await openWith(database, B, A)

    await rotating.rotateKeys()
    await rotating.rotateKeys()
    expect(await rotating.verify()).toMatchObject({ ok: true })
    await rotating.close()

    const behind = await openWith(database, B)
    for (const id of ids) expect(await reveal(behind, id)).toEqual({ password: 'first password' })
    await behind.close()
    const old = await openWith(database, A)
    for (const id of ids) expect((await failureOf(reveal(old, id))).code).toBe('decryption_failed')
  })

  test('of kept outcomes are rotated with them: a replay still shows its secret', async () => {
    const database = temporaryFile()
    const key = { idempotencyKey: 'k' }
    const old = await openWith(database, A)
    const made = await handleOf(old, 'eventDestinations').create(HOOKS, key)
    await old.close()
    const rotating = await openWith(database, B, A)
    await rotating.rotateKeys()
    await rotating.close()

    const replay = await handleOf(await openWith(database, B), 'eventDestinations').create(
      HOOKS,
      key,
    )

    expect(replay).toMatchObject({ replayed: true, secrets: made.secrets })
  })

  test('are rotated in every tenant', async () => {
    const database = temporaryFile()
    const old = await openWith(database, A)
    const { id } = await makeCredential(old.tenant('acme'))
    await old.close()
    const rotating = await openWith(database, B, A)
    await rotating.rotateKeys()
    await rotating.close()

    const { password } = await reveal((await openWith(database, B)).tenant('acme'), id)

    expect(password).toBe('first password')
  })

  test('of which one is missing while others are rotated lose nothing', async () => {
    const database = temporaryFile()
    const old = await seal(database, A)
    const young = await seal(database, B)
    const rotating = await openWith(database, C, B)

    await rotating.rotateKeys().catch((error: unknown) => {
      expect(error).toMatchObject({ code: 'decryption_failed' })
    })
    await rotating.close()

    const all = await openWith(database, A, B, C)
    for (const id of [old, young]) expect(await reveal(all, id)).toHaveProperty('password')
  })

  test('are made by generateKey: 32 bytes, never the same, good to encrypt with', async () => {
    const { generateKey } = pawl as unknown as { generateKey(): unknown }
    const keys = await Promise.all(Array.from({ length: 20 }, generateKey))

    expect(new Set(keys).size).toBe(20)
    for (const key of keys) {
      expect(Buffer.from(String(key), 'base64')).toHaveLength(32)
      expect(Buffer.from(String(key), 'base64').toString('base64')).toBe(key)
    }
    const database = temporaryFile()
    const id = await seal(database, keys[0])
    expect(await reveal(await openWith(database, keys[0]), id)).toHaveProperty('password')
  })

  test('are in no error', async () => {
    const database = temporaryFile()
    const id = await seal(database, A)
    const engine = await openWith(database, C)

    const error = (await caught(() => reveal(engine, id))) as Error

    const shown = [JSON.stringify(error), error.stack, String(error.cause)].join()
    for (const key of [A, C]) expect(shown).not.toContain(key)
  })
})
