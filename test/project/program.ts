/** Runs a program as a user would, and makes its output comparable. @module */

import { execFile } from 'node:child_process'
import { randomBytes } from 'node:crypto'
import { mkdir, mkdtemp, rm, symlink, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { onTestFinished } from 'vitest'

/** The project's folder. */
export const root = fileURLToPath(new URL('../..', import.meta.url))

/** How long a program may take: compilers need their time where other tests want both cores. */
export const PATIENCE_MS = 120_000

/** What a program left behind. */
export interface Ended {
  readonly code: number
  readonly stdout: string
  readonly stderr: string
}

/** An empty folder that is gone after the test. */
export async function temporaryFolder(): Promise<string> {
  const folder = await mkdtemp(join(tmpdir(), 'pawl-project-'))
  onTestFinished(() => rm(folder, { recursive: true }))
  return folder
}

/** A folder in which programs find the project's packages, and `pawl` itself as its sources. */
export async function userProject(): Promise<string> {
  const folder = await temporaryFolder()
  const config = {
    extends: join(root, 'tsconfig.json'),
    // Neither file lies below the other's folder.
    compilerOptions: { rootDir: '/', noEmit: true },
    include: ['*.ts'],
  }
  await writeFile(join(folder, 'package.json'), '{ "type": "module" }')
  await writeFile(join(folder, 'tsconfig.json'), JSON.stringify(config))
  await symlink(join(root, 'node_modules'), join(folder, 'node_modules'))
  return folder
}

/** Runs one of the project's tools, or node, to its end. */
export function run(
  tool: string,
  args: readonly string[],
  cwd: string,
  more: NodeJS.ProcessEnv = {},
): Promise<Ended> {
  const key = randomBytes(32).toString('base64')
  const env = { ...process.env, PAWL_KEY: key, NO_COLOR: '1', ...more }
  return new Promise((resolve) => {
    execFile(
      join(root, 'node_modules/.bin', tool),
      args,
      { cwd, env, maxBuffer: 1e8, timeout: PATIENCE_MS },
      (error, stdout, stderr) => {
        resolve({ code: error === null ? 0 : Number(error.code ?? 1), stdout, stderr })
      },
    )
  })
}

/** Runs a TypeScript program in an empty folder; `pawl` means the project's sources. */
export async function runProgram(file: string): Promise<Ended> {
  const folder = join(await temporaryFolder(), 'empty')
  await mkdir(folder)
  return run('tsx', ['--tsconfig', join(root, 'tsconfig.json'), file], folder)
}

/** Output with all that differs from run to run replaced: ids, secrets and times. */
export function normalise(output: string): string {
  return output
    .replaceAll(/\b([a-z]+)_[0-9A-Za-z]{22}\b/g, '$1_…')
    .replaceAll(/\bwhsec_[0-9A-Za-z+/=]+/g, 'whsec_…')
    .replaceAll(/\d{4}-\d{2}-\d{2}T\d{2}:\d{2}:\d{2}(?:\.\d+)?Z/g, '<time>')
    .replaceAll(/\b\d+ ms\b/g, '<n> ms')
    .replaceAll(/[ \t]+$/gm, '')
    .trim()
}
