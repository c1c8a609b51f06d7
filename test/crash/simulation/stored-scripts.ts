/** The tests of the scripts that are kept: each has once found something wrong, planted or not, and was cut down to what it takes. */

import { readdirSync, readFileSync } from 'node:fs'
import { basename } from 'node:path'
import { expect, test } from 'vitest'
import type { OpenGround } from './ground.ts'
import { play } from './play.ts'
import type { Script } from './script.ts'

const folder = new URL('./scripts/', import.meta.url)
const names = readdirSync(folder).filter((name) => name.endsWith('.json'))

/** Declares a test for each of them. */
export function testStoredScripts(openGround: OpenGround): void {
  test.each(names)('finds none in %s', async (name) => {
    const script = JSON.parse(readFileSync(new URL(name, folder), 'utf8')) as Script

    const { failure } = await play(script, openGround)

    expect(failure, basename(name, '.json')).toBeNull()
  })
}
