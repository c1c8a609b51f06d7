import { describe, expect, test } from 'vitest'
import { createMachine, emit } from 'xstate'
import { z } from 'zod'
import { createOverlay } from '../../src/core/overlay.ts'
import { define } from '../support/define.ts'
import { failureOf } from '../support/errors.ts'
import { openWorld } from './world-in-memory.ts'

const loose = z.looseObject({})

/** A thing that can be sent `go`, which is an event, and `renew`, which makes another token. */
function setup() {
  const on = {
    go: { actions: emit({ type: 'thing.went' }) },
    renew: {},
  }
  const world = openWorld({
    things: define({
      ...{ type: 'thing', prefix: 'thg', input: loose, commands: { go: loose, renew: loose } },
      machine: createMachine({ context: {}, initial: 'calm', states: { calm: { on } } }),
      secrets: { token: { generate: 'tok_', on: ['renew'] } },
    }),
  })
  return { world, id: world.create('thing').id }
}

const idempotency = { key: 'k', fingerprints: ['one.1'], since: 0 } as const

describe('a result', () => {
  test('has its own events alone, and not those that the same batch decided before', () => {
    const { world, id } = setup()
    const batch = createOverlay()

    const first = world.send(id, 'go', {}, {}, batch)
    const second = world.send(id, 'go', {}, {}, batch)

    expect(first.entries).toEqual([batch.entries[0]])
    expect(second.entries).toEqual([batch.entries[1]])
  })

  test('shows the secret that was made, and says that this is a change', () => {
    const { world, id } = setup()

    const { secrets, changed, entries } = world.send(id, 'renew')

    expect({ secrets, changed, entries }).toEqual({
      secrets: { token: 'tok_made' },
      changed: true,
      entries: [],
    })
  })
})

describe('what a key remembers', () => {
  test('is the result, without secrets where none were made', () => {
    const { world, id } = setup()

    const { overlay, resource, entries } = world.send(id, 'go', {}, { idempotency })

    expect(overlay.outcomes).toEqual([
      {
        ...{ tenant: 'default', key: 'k', fingerprint: 'one.1', createdAt: 1000 },
        ...{ resource: JSON.stringify(resource), changed: true, entries, secrets: null },
      },
    ])
  })

  test('holds the secrets that were made, sealed for this key of this tenant', () => {
    const { world, id } = setup()

    const [outcome] = world.send(id, 'renew', {}, { idempotency }).overlay.outcomes

    expect(JSON.parse(outcome?.secrets?.toString() ?? '')).toEqual([
      { type: 'outcome', id: 'default/k', name: 'secrets' },
      { token: 'tok_made' },
    ])
  })

  test('is given for a create as well, which creates nothing more', () => {
    const { world } = setup()
    const first = world.create('thing', {}, { idempotency })
    const before = world.stored.resources.size

    const { planned } = world.create('thing', {}, { idempotency })

    expect(planned).toMatchObject({ replayed: { resource: JSON.stringify(first.resource) } })
    expect(world.stored.resources.size).toBe(before)
  })

  test('is given also where the encryption key of its fingerprint is gone', () => {
    const { world, id } = setup()
    world.send(id, 'go', {}, { idempotency })
    const later = { ...idempotency, fingerprints: ['other.2'] } as const

    expect(world.send(id, 'go', {}, { idempotency: later }).planned).toHaveProperty('replayed')
  })
})

test('a version conflict says what was expected, and what there is', async () => {
  const { world, id } = setup()

  const error = await failureOf(() => world.send(id, 'go', {}, { expectedVersion: 7 }))

  expect(error).toMatchObject({
    ...{ code: 'version_conflict', resource_id: id, expected: 7, actual: 1 },
  })
})
