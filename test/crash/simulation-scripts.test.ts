import { readdirSync, readFileSync } from 'node:fs'
import { basename } from 'node:path'
import { describe, expect, onTestFinished, test, vi } from 'vitest'
import { play } from './simulation/play.ts'
import type { Script } from './simulation/script.ts'

const folder = new URL('./simulation/scripts/', import.meta.url)
const names = readdirSync(folder).filter((name) => name.endsWith('.json'))

// Each has caught a defect, planted or not, and was cut down to what it takes.
describe('a script that has caught a defect before', () => {
  test.each(names)('finds none in %s', async (name) => {
    vi.useFakeTimers({ toFake: ['performance'] })
    onTestFinished(() => void vi.useRealTimers())
    const script = JSON.parse(readFileSync(new URL(name, folder), 'utf8')) as Script

    const { failure } = await play(script)

    expect(failure, basename(name, '.json')).toBeNull()
  })
})
