/** Does every example run, and print what the file beside it says? @module */

import { readdirSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { describe, expect, test } from 'vitest'
import { normalise, PATIENCE_MS, root, runProgram } from './program.ts'

const folder = join(root, 'examples')
const examples = readdirSync(folder).filter((file) => file.endsWith('.ts'))

describe('examples', { timeout: PATIENCE_MS }, () => {
  test('exist', () => {
    expect(examples.length).toBeGreaterThan(0)
  })

  test.each(examples)('%s prints what the file beside it says', async (file) => {
    const expected = readFileSync(join(folder, file.replace(/\.ts$/, '.txt')), 'utf8')

    const { stdout, stderr, code } = await runProgram(join(folder, file))

    expect({ stderr, code }).toEqual({ stderr: '', code: 0 })
    expect(normalise(stdout)).toBe(normalise(expected))
  })
})
