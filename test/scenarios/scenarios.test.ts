import { readdirSync, readFileSync } from 'node:fs'
import { describe, expect, onTestFinished, test } from 'vitest'
import { type AnyTestEngine, expectVerified, openEngine, reopen } from '../support/engine.ts'
import { type Story, tellStory } from '../support/scenario.ts'
import { temporaryFile } from '../support/temp.ts'

const folder = new URL('./stories/', import.meta.url)
const stories = readdirSync(folder)
  .filter((file) => file.endsWith('.json'))
  .map((file) => JSON.parse(readFileSync(new URL(file, folder), 'utf8')) as Story)

test('the stories are there', () => {
  expect(stories.length).toBeGreaterThanOrEqual(6)
})

describe.each(stories)('$name', (story) => {
  test('in memory', async () => {
    const { closing } = setup()
    const engine = closing(await openEngine())

    await tellStory(story, engine)

    await expectVerified(engine)
  })

  test('on a file that is closed and opened again between any two steps', async () => {
    const { closing, file } = setup()
    const database = { database: file }
    const engine = closing(await openEngine(database))

    const last = await tellStory(story, engine, async (open) =>
      closing(await reopen(open, database)),
    )

    await expectVerified(last)
  })
})

function setup() {
  const file = temporaryFile()
  let latest: AnyTestEngine | undefined
  onTestFinished(async () => latest?.close())
  const closing = (engine: AnyTestEngine): AnyTestEngine => {
    latest = engine
    return engine
  }
  return { file, closing }
}
