/** Does the code keep the habits that the linter cannot check? @module */

import { readdirSync, readFileSync } from 'node:fs'
import { basename, join } from 'node:path'
import { describe, expect, test } from 'vitest'
import { root } from './program.ts'

const FOLDERS = ['src', 'machines', 'test', 'examples']

const files = FOLDERS.flatMap((folder) =>
  readdirSync(join(root, folder), { recursive: true, encoding: 'utf8' })
    .filter((path) => path.endsWith('.ts'))
    .map((path) => ({
      path: `${folder}/${path.replaceAll('\\', '/')}`,
      text: readFileSync(join(root, folder, path), 'utf8'),
    })),
)

// This file holds the words that it looks for.
const others = files.filter(({ path }) => path !== 'test/project/style.test.ts')

const tests = others.filter(({ path }) => path.startsWith('test/'))

const sources = files.filter(({ path }) => /^(src|machines)\//.test(path))

function containing(some: readonly { path: string; text: string }[], pattern: RegExp): string[] {
  return some.filter(({ text }) => pattern.test(text)).map(({ path }) => path)
}

describe('style', () => {
  test('no module is mocked', () => {
    expect(containing(tests, /\bvi\.(?:do)?mock\(/i)).toEqual([])
  })

  test('no test sleeps', () => {
    expect(
      containing(
        tests,
        /\bsetTimeout\b.*timers\/promises|\bsleep\(|=>\s*setTimeout\(\s*(?:resolve|done|r)\b/,
      ),
    ).toEqual([])
  })

  // The linter bans `Date` as a whole, but for the log, which takes dates from callers.
  test('only the clock reads the time', () => {
    const readers = containing(sources, /\bnew Date\(\)|\bDate\.now\(/)
    expect(readers.sort()).toEqual(['src/clock.ts', 'src/resource.ts'])
  })

  test('nothing is left to do', () => {
    expect(containing(others, /\b(?:TODO|FIXME|XXX)\b/)).toEqual([])
  })

  test('every file is named for what it holds', () => {
    const vague =
      /^(?:utils?|helpers?|common|manager|misc|types)\.ts$|-(?:utils?|helpers?|manager)\.ts$/
    expect(files.map(({ path }) => path).filter((path) => vague.test(basename(path)))).toEqual([])
  })

  test('every option has a comment', () => {
    const bare = sources.flatMap(({ path, text }) =>
      [...text.matchAll(/^export interface (\w*Options|Timeouts)\b[\s\S]*?^}/gm)].flatMap(
        ([body, name]) =>
          [...body.matchAll(/(?<!\*\/)\n {2}readonly (\w+)/g)].map(
            ([, option]) => `${path} ${name}.${option}`,
          ),
      ),
    )
    expect(bare).toEqual([])
  })

  test('every module opens with the question that it answers', () => {
    const headless = sources.filter(
      ({ text }) => !/^\/\*\*(?:(?!\*\/)[\s\S])*@module\s*\*\//.test(text),
    )
    expect(headless.map(({ path }) => path)).toEqual([])
  })
})
