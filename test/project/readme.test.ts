/** Do the programs in the README compile, run, and print what it says? @module */

import { readFileSync } from 'node:fs'
import { writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { describe, expect, test } from 'vitest'
import { normalise, PATIENCE_MS, root, run, userProject } from './program.ts'

interface Program {
  readonly line: number
  readonly source: string
  /** The `text` block that comes next, if one comes before the next program. */
  readonly output: string | undefined
}

/** A block that is a part of a program says so: ```` ```ts fragment ````. */
const FENCE = /^```(\S*)[ \t]*(.*)\n([\s\S]*?)^```[ \t]*$/gm

function programsOf(markdown: string): readonly Program[] {
  const blocks = [...markdown.matchAll(FENCE)].map((match) => ({
    language: match[1],
    fragment: match[2]?.includes('fragment') ?? false,
    text: match[3] ?? '',
    line: markdown.slice(0, match.index).split('\n').length,
  }))
  return blocks.flatMap(({ language, fragment, text, line }, index) => {
    const next = blocks[index + 1]
    if (language !== 'ts' || fragment) return []
    return [{ line, source: text, output: next?.language === 'text' ? next.text : undefined }]
  })
}

const programs = programsOf(readFileSync(join(root, 'README.md'), 'utf8'))

describe('README.md', { timeout: PATIENCE_MS }, () => {
  test('has programs', () => {
    expect(programs.length).toBeGreaterThan(0)
  })

  test('compiles', async () => {
    const folder = await userProject()
    for (const { line, source } of programs) {
      await writeFile(join(folder, `readme-line-${line}.ts`), source)
    }

    const { stdout, code } = await run('tsc', ['-p', '.'], folder)

    expect({ stdout, code }).toEqual({ stdout: '', code: 0 })
  })

  test.each(programs)('runs, and prints what it says: line $line', async ({ source, output }) => {
    const folder = await userProject()
    await writeFile(join(folder, 'program.ts'), source)

    const { stdout, stderr, code } = await run('tsx', ['program.ts'], folder)

    expect({ stderr, code }).toEqual({ stderr: '', code: 0 })
    if (output !== undefined) expect(normalise(stdout)).toBe(normalise(output))
  })
})
