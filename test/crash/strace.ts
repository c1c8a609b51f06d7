import { spawn, spawnSync } from 'node:child_process'
import { once } from 'node:events'
import { report } from './settings.ts'

/** Whether system calls can be watched and made to fail here; says so where they cannot. */
export function canTrace(purpose: string): boolean {
  const { status, error } = spawnSync('strace', ['-f', '-e', 'trace=fsync', 'true'], {
    stdio: 'ignore',
  })
  if (status === 0) return true
  const reason = error === undefined ? 'strace may not trace here' : 'there is no strace here'
  report(`${purpose}: skipped, because ${reason}`)
  return false
}

/** The files that SQLite makes of a database. */
export function filesOf(database: string): string[] {
  return [database, `${database}-wal`, `${database}-journal`, `${database}-shm`]
}

/** What a traced process has said and how it has ended. */
export interface Ended {
  readonly code: number | null
  readonly signal: string | null
  readonly output: string
}

/** Runs a script under strace, which is told with `options` what to do, on the given paths alone. */
export async function traced(
  options: readonly string[],
  paths: readonly string[],
  script: string,
  settings: object,
): Promise<Ended> {
  const watched = paths.flatMap((path) => ['-P', path])
  const quiet = ['-f', '--seccomp-bpf', '-qq', '-e', 'signal=none']
  const command = [process.execPath, script, JSON.stringify(settings)]
  const child = spawn('strace', [...quiet, ...options, ...watched, ...command], {
    stdio: ['ignore', 'pipe', 'inherit'],
  })
  const said: Buffer[] = []
  child.stdout.on('data', (chunk: Buffer) => said.push(chunk))
  const [code, signal] = await once(child, 'close')
  return { code, signal, output: Buffer.concat(said).toString() }
}
