/** Do the programs in the README compile, run, and print what it says? @module */

import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { readFileSync } from 'node:fs'
import { writeFile } from 'node:fs/promises'
import { type AddressInfo, createServer } from 'node:net'
import { join } from 'node:path'
import { describe, expect, onTestFinished, test } from 'vitest'
import { deliveriesOf, deliveryOf, first, setupDelivering } from '../delivery/deliveries.ts'
import { handleOf } from '../support/engine.ts'
import { isServer, setupSchema } from '../support/postgres.ts'
import { until } from '../support/until.ts'
import { normalise, PATIENCE_MS, root, run, userProject } from './program.ts'

interface Program {
  readonly line: number
  readonly source: string
  /** What it needs: `receiver` goes on until it is stopped, `postgres` needs a server. */
  readonly sort: string
  /** The `text` block that comes next, if one comes before the next program. */
  readonly output: string | undefined
}

/** A block that is a part of a program says so, ```` ```ts fragment ````, and one that waits for webhooks or needs a server. */
const FENCE = /^```(\S*)[ \t]*(.*)\n([\s\S]*?)^```[ \t]*$/gm

function programsOf(markdown: string): readonly Program[] {
  const blocks = [...markdown.matchAll(FENCE)].map((match) => ({
    language: match[1],
    sort: match[2]?.trim() ?? '',
    text: match[3] ?? '',
    line: markdown.slice(0, match.index).split('\n').length,
  }))
  return blocks.flatMap(({ language, sort, text, line }, index) => {
    const next = blocks[index + 1]
    if (language !== 'ts' || sort === 'fragment') return []
    const output = next?.language === 'text' ? next.text : undefined
    return [{ line, source: text, sort, output }]
  })
}

const hasServer = await isServer()

const programs = programsOf(readFileSync(join(root, 'README.md'), 'utf8'))

/** A port that nobody listens at. */
async function freePort(): Promise<number> {
  const server = createServer().listen(0, '127.0.0.1')
  await once(server, 'listening')
  const { port } = server.address() as AddressInfo
  await new Promise((resolve) => server.close(resolve))
  return port
}

/** Runs a program until the test is over; resolves once it answers. */
async function startReceiver(source: string, env: NodeJS.ProcessEnv, url: string) {
  const folder = await userProject()
  await writeFile(join(folder, 'program.ts'), source)
  const child = spawn(process.execPath, ['--import', 'tsx', 'program.ts'], {
    ...{ cwd: folder, env: { ...process.env, ...env } },
  })
  onTestFinished(() => void child.kill('SIGKILL'))
  let [stdout, stderr] = ['', '']
  child.stdout.on('data', (text) => {
    stdout += text
  })
  child.stderr.on('data', (text) => {
    stderr += text
  })
  const answers = () => fetch(url).then(Boolean, () => false)
  await until(async () => stderr !== '' || (await answers()))
  return { printed: () => stdout, failed: () => stderr }
}

describe('README.md', { timeout: PATIENCE_MS }, () => {
  test('has programs of each sort', () => {
    expect(new Set(programs.map(({ sort }) => sort))).toEqual(new Set(['', 'postgres', 'receiver']))
  })

  test('compiles', async () => {
    const folder = await userProject()
    for (const { line, source } of programs) {
      await writeFile(join(folder, `readme-line-${line}.ts`), source)
    }

    const { stdout, code } = await run('tsc', ['-p', '.'], folder)

    expect({ stdout, code }).toEqual({ stdout: '', code: 0 })
  })

  test.each(programs.filter(({ sort }) => sort === ''))(
    'runs, and prints what it says: line $line',
    async ({ source, output }) => {
      const folder = await userProject()
      await writeFile(join(folder, 'program.ts'), source)

      const { stdout, stderr, code } = await run('tsx', ['program.ts'], folder)

      expect({ stderr, code }).toEqual({ stderr: '', code: 0 })
      if (output !== undefined) expect(normalise(stdout)).toBe(normalise(output))
    },
  )

  test.runIf(hasServer).each(programs.filter(({ sort }) => sort === 'postgres'))(
    'runs on PostgreSQL, and prints what it says: line $line',
    async ({ source, output = '' }) => {
      const { pool, schema } = await setupSchema()
      const folder = await userProject()
      await writeFile(join(folder, 'program.ts'), source.replace("'pawl' })", `'${schema}' })`))

      const url = 'postgres://postgres@127.0.0.1/postgres'
      const { stdout, stderr } = await run('tsx', ['program.ts'], folder, { DATABASE_URL: url })

      expect({ stdout: normalise(stdout), stderr }).toEqual({
        stdout: normalise(output),
        stderr: '',
      })
      const client = await pool.connect()
      const { rows } = await client.query({ text: `select type from ${schema}.pawl_events` })
      client.release()
      expect(rows).toEqual([{ type: 'session.queued' }])
    },
  )

  test.each(programs.filter(({ sort }) => sort === 'receiver'))(
    'receives webhooks, each once: line $line',
    async ({ source }) => {
      const port = await freePort()
      const url = `http://127.0.0.1:${port}`
      const engine = await setupDelivering({}, { now: new Date() })
      const { resource, secrets } = await handleOf(engine, 'eventDestinations').create({
        ...{ name: 'Receiver', webhook: { url }, events: ['session.*'] },
      })
      const env = { PORT: String(port), WEBHOOK_SECRET: String(secrets?.secret) }
      const { printed, failed } = await startReceiver(source, env, url)

      expect((await deliveriesOf(engine).verify(resource.id)).status).toBe('active')
      const event = first((await handleOf(engine, 'sessions').create({})).events)
      await engine.clock.advance('1s')
      const delivery = await deliveryOf(engine, event)
      await deliveriesOf(engine).resend(delivery.id)
      await engine.clock.advance('1s')

      expect(await deliveryOf(engine, event)).toMatchObject({ status: 'succeeded', attempts: 2 })
      expect((await fetch(url, { method: 'POST', body: '{}' })).status).toBe(400)
      await until(() => printed() !== '')
      expect({ stdout: printed(), stderr: failed() }).toEqual({
        ...{ stdout: 'session.queued queued\n', stderr: '' },
      })
    },
  )
})
