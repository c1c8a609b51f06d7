import { fork } from 'node:child_process'
import { once } from 'node:events'
import { existsSync, readFileSync } from 'node:fs'
import { fileURLToPath } from 'node:url'
import { describe, expect, onTestFinished, test } from 'vitest'
import { generateKey } from '../../src/index.ts'
import { allShown, formsOf, makeCanary, tracesIn } from '../support/canary.ts'
import { type AnyTestEngine, handleOf, openEngine, setupEngine } from '../support/engine.ts'
import { caught } from '../support/errors.ts'
import { openRaw } from '../support/raw.ts'
import { live, readBack, type Texts } from '../support/secret-life.ts'
import { temporaryFile } from '../support/temp.ts'
import { makeSource } from '../support/world.ts'

function makeTexts() {
  return {
    password: makeCanary(),
    nextPassword: makeCanary(),
    otherPassword: makeCanary(),
    field: makeCanary(),
    answer: makeCanary(),
  } satisfies Texts
}

/** What a life has to come upon, or the test would show little. */
const EXPECTED_ERRORS = [
  ...['invalid_input', 'idempotency_mismatch', 'version_conflict', 'not_found'],
  'illegal_transition',
]

/** Keeps what the engine gives as text, as it gives it. */
function createKeeper() {
  const kept: string[] = []
  return { keep: (value: unknown) => void kept.push(allShown(value)), all: () => kept.join('\n') }
}

/** What a database is on the disk, whatever has been checkpointed. */
function bytesOf(database: string): Buffer {
  const files = [database, `${database}-wal`, `${database}-shm`]
  return Buffer.concat(files.filter((file) => existsSync(file)).map((file) => readFileSync(file)))
}

/** The texts, the secrets that the engine has made, and its keys. */
function canariesOf(texts: Texts, generated: readonly string[], keys: readonly string[]) {
  const numbered = (name: string, values: readonly (string | Buffer)[]) =>
    values.map((value, index) => [`${name} ${index}`, value] as const)
  const raw = (texts: readonly string[]) => texts.map((text) => Buffer.from(text, 'base64'))
  return {
    ...texts,
    ...Object.fromEntries(numbered('generated', generated)),
    ...Object.fromEntries(numbered('key', raw(keys))),
  }
}

/** An engine on a file that has been through everything, and what it gave meanwhile. */
async function setup() {
  const [oldKey, newKey] = [generateKey(), generateKey()]
  const database = temporaryFile()
  const texts = makeTexts()
  const { keep, all } = createKeeper()
  const options = { database, onError: keep }
  const engine = await openEngine({ ...options, encryptionKeys: [oldKey] })
  const lived = await live(engine, texts, keep)
  const canaries = () => canariesOf(texts, lived.generated, [oldKey, newKey])
  const rotate = async (): Promise<AnyTestEngine> => {
    const now = engine.clock.now()
    await engine.close()
    return setupEngine({ ...options, now, encryptionKeys: [newKey, oldKey] })
  }
  onTestFinished(() => engine.close())
  return { database, engine, texts, lived, keep, all, canaries, rotate }
}

describe('a secret', () => {
  test('is told by what reveals it, and by nothing else that the engine gives', async () => {
    const { engine, texts, lived, all, canaries } = await setup()
    const credentials = handleOf(engine, 'credentials')

    const revealed = await credentials.reveal(lived.credential)

    expect(revealed).toEqual({
      ...{ password: texts.nextPassword, source_fields: { pin: texts.field } },
    })
    expect(new Set(lived.generated).size).toBe(2)
    expect(lived.generated.every((secret) => secret.startsWith('whsec_'))).toBe(true)
    for (const code of EXPECTED_ERRORS) expect(all()).toContain(`code: '${code}'`)
    expect(tracesIn(all(), canaries())).toEqual([])
  })

  test('is in no file: not in the database, its WAL or a backup', async () => {
    const { database, engine, lived, canaries } = await setup()
    const copy = temporaryFile('copy.db')

    await engine.backup(copy)

    expect(existsSync(`${database}-wal`)).toBe(true)
    const files = [bytesOf(database), bytesOf(copy)]
    for (const bytes of files) {
      expect(bytes.includes(lived.credential)).toBe(true)
      expect(tracesIn(bytes, canaries())).toEqual([])
    }
    await engine.close()
    expect(tracesIn(bytesOf(database), canaries())).toEqual([])
  })

  test('is in no file when the keys have been rotated, and what is erased is gone', async () => {
    const { database, lived, keep, all, canaries, rotate } = await setup()
    const engine = await rotate()
    const raw = openRaw(database)
    const secrets = raw.prepare('select resource_id from pawl_secrets order by resource_id').pluck()
    const kept = () => secrets.all()

    await engine.rotateKeys()
    expect(tracesIn(bytesOf(database), canaries())).toEqual([])
    const { credential, destination } = lived
    // The second of each: the fields of the source, and the secret that was replaced.
    expect(kept()).toEqual([credential, credential, destination, destination])
    for (const [property, id] of [
      ['credentials', lived.credential],
      ['eventDestinations', lived.destination],
    ] as const) {
      keep(await handleOf(engine, property).send(id, { type: 'delete' }))
      keep(
        await handleOf(engine, property)
          .reveal(id)
          .catch((error: unknown) => error),
      )
    }
    await readBack(engine, [lived.credential, lived.destination], keep)

    expect(kept()).toEqual([])
    const copy = temporaryFile('copy.db')
    await engine.backup(copy)
    for (const bytes of [bytesOf(database), bytesOf(copy)]) {
      expect(tracesIn(bytes, canaries())).toEqual([])
    }
    expect(tracesIn(all(), canaries())).toEqual([])
  })

  test('is in no error of a database that does not take it, or of an engine without a key', async () => {
    const database = temporaryFile()
    const texts = makeTexts()
    const { keep, all } = createKeeper()
    const engine = await setupEngine({ database, onError: keep })
    const source_id = (await makeSource(engine)).id
    const create = (each: AnyTestEngine) =>
      handleOf(each, 'credentials').create({
        ...{ source_id, auth_method: 'username_password' },
        auth_credentials: { username: 'ada', password: texts.password },
      })
    openRaw(database).exec(`
      create trigger refuse before insert on pawl_secrets
      begin select raise(abort, 'no secrets here'); end
    `)

    keep(await caught(() => create(engine)))
    await engine.close()
    keep(await caught(() => create(engine)))
    const keyless = await setupEngine({ database, encryptionKeys: [] })
    keep(await caught(() => create(keyless)))

    for (const code of ['storage_failed', 'closed', 'encryption_key_missing']) {
      expect(all()).toContain(code)
    }
    expect(all()).toContain('no secrets here')
    expect(tracesIn(all(), texts)).toEqual([])
    expect(tracesIn(bytesOf(database), texts)).toEqual([])
  })

  test('is in nothing that a process prints, even when it dies of an error', async () => {
    const texts = makeTexts()
    const script = fileURLToPath(new URL('./printing-process.ts', import.meta.url))
    const child = fork(script, [], {
      execArgv: ['--import', 'tsx'],
      env: { ...process.env, CANARIES: JSON.stringify(texts) },
      stdio: ['ignore', 'pipe', 'pipe', 'ipc'],
    })
    onTestFinished(() => void child.kill('SIGKILL'))
    const output: Buffer[] = []
    for (const stream of [child.stdout, child.stderr]) {
      stream?.on('data', (bytes: Buffer) => void output.push(bytes))
    }
    const gone = once(child, 'close')
    const [generated] = (await Promise.race([once(child, 'message'), gone])) as [string[]]

    child.send('die')

    expect(await gone).toEqual([1, null])
    const printed = Buffer.concat(output)
    expect(printed.toString()).toContain('PawlError')
    expect(generated).toHaveLength(2)
    expect(tracesIn(printed, canariesOf(texts, generated, []))).toEqual([])
  })
})

describe('the search for a canary', () => {
  const canary = makeCanary()
  const [middle, piece] = [canary.slice(1, -1), Buffer.from(canary.slice(1, 17))]

  test.each([...formsOf(piece)])('finds a part of it as %s', (form, bytes) => {
    const around = Buffer.concat([Buffer.from('before'), bytes, Buffer.from('after')])

    expect(tracesIn(around, { canary })).toContain(`canary in ${form}`)
  })

  test.each([
    ['utf8', middle],
    ['utf8', JSON.stringify(JSON.stringify({ canary }))],
    ['utf8', allShown(new Error('outer', { cause: { deep: [{ canary }] } }))],
    ['utf16le', Buffer.from(`.${middle}`, 'utf16le')],
    ['hex', Buffer.from(`before ${middle}`).toString('hex')],
    ['list of bytes', JSON.stringify(Buffer.from(middle))],
  ])('finds all of it as %s', (form, bytes) => {
    expect(tracesIn(bytes, { canary })).toContain(`canary in ${form}`)
  })

  test.each([0, 1, 2])('finds all of it in base64 that begins %i bytes before', (before) => {
    const bytes = Buffer.concat([Buffer.alloc(before), Buffer.from(middle), Buffer.alloc(7)])

    expect(tracesIn(bytes.toString('base64'), { canary })).toContain(
      `canary in base64 at ${before}`,
    )
  })

  test('finds nothing where it is not', () => {
    expect(tracesIn(allShown({ other: makeCanary() }), { canary })).toEqual([])
  })
})
