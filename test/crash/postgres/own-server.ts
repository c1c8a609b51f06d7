/** How is a PostgreSQL server started that a test may stop as it likes? @module */

import { execFile, execFileSync } from 'node:child_process'
import { chownSync, existsSync, mkdtempSync, readdirSync, rmSync } from 'node:fs'
import { createServer } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { promisify } from 'node:util'
import { onTestFinished } from 'vitest'
import { report } from '../settings.ts'
import { type Address, SHARED } from './connections.ts'

// Where Debian puts the versions that it has.
const VERSIONS = '/usr/lib/postgresql'

/** The folder of the server's programs; undefined where there are none. */
function findPrograms(): string | undefined {
  const versions = existsSync(VERSIONS) ? readdirSync(VERSIONS) : []
  return versions
    .map((version) => join(VERSIONS, version, 'bin'))
    .findLast((bin) => existsSync(join(bin, 'initdb')))
}

/** The server refuses to run as root. */
function findUser(): { readonly uid: number; readonly gid: number } | undefined {
  if (process.getuid?.() !== 0) return undefined
  const idOf = (option: string) =>
    Number(execFileSync('id', [option, 'postgres'], { encoding: 'utf8' }))
  return { uid: idOf('-u'), gid: idOf('-g') }
}

/** Whether a server can be started; says so where it cannot. */
export function canStartServer(purpose: string): boolean {
  if (findPrograms() !== undefined) return true
  if (process.env.PAWL_POSTGRES === 'server')
    throw new Error(`${purpose}: there is no initdb in ${VERSIONS}`)
  report(`${purpose}: skipped, because there is no initdb in ${VERSIONS}`)
  return false
}

/** A server of a test's own. */
export interface OwnServer {
  readonly address: Address
  /** Ends it and starts it again: `fast` ends the connections first, `immediate` is a crash. */
  restart(mode: 'fast' | 'immediate'): Promise<void>
}

/** Starts a server, on files that go with the test; it keeps what it has acknowledged like any other. */
export async function startServer(): Promise<OwnServer> {
  const user = findUser()
  const folder = mkdtempSync(join(tmpdir(), 'pawl-server-'))
  if (user !== undefined) chownSync(folder, user.uid, user.gid)
  const data = join(folder, 'data')
  const port = await findPort()
  const run = (program: string, ...args: readonly string[]) =>
    promisify(execFile)(join(findPrograms() ?? '', program), ['-D', data, ...args], {
      ...user,
      cwd: folder,
    })
  const options = `-p ${port} -k ${folder} -c listen_addresses=${SHARED.host} -c shared_buffers=16MB`
  const log = ['-l', join(folder, 'log')]
  await run('initdb', '-A', 'trust', '-U', 'postgres', '-E', 'UTF8', '--locale=C', '--no-sync')
  await run('pg_ctl', 'start', '-w', '-o', options, ...log)
  onTestFinished(async () => {
    await run('pg_ctl', 'stop', '-w', '-m', 'immediate')
    rmSync(folder, { recursive: true, force: true })
  })
  return {
    address: { host: SHARED.host, port },
    restart: async (mode) => void (await run('pg_ctl', 'restart', '-w', '-m', mode, ...log)),
  }
}

/** A port that nobody listens on. */
function findPort(): Promise<number> {
  return new Promise((resolve, reject) => {
    const server = createServer()
    server.once('error', reject).listen(0, SHARED.host, () => {
      const { port } = server.address() as { port: number }
      server.close(() => resolve(port))
    })
  })
}
