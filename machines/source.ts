/** How does a source live? @module */

import { assign, emit, setup } from 'xstate'
import { z } from 'zod'
import { type CommandsOf, defineResource } from '../src/resource.ts'
import { strictObject } from '../src/strict-object.ts'
import { httpUrl, name, nothing } from './schemas.ts'

const website = strictObject({ url: httpUrl })

const input = strictObject({
  name: name.nullable().default(null),
  type: z.literal('website'),
  website,
}).describe('Creates a source.')

const commands = {
  update: strictObject({ name: name.nullable(), website })
    .exactPartial()
    .describe('Changes the fields that are given.'),
  delete: nothing.describe('Deletes the source for good.'),
}

type Context = z.infer<typeof input>

const machine = setup({
  types: {
    context: {} as Context,
    input: {} as Context,
    events: {} as CommandsOf<typeof commands>,
    emitted: {} as { type: `source.${'created' | 'updated' | 'deleted'}` },
  },
}).createMachine({
  context: ({ input }) => input,
  initial: 'active',
  states: {
    active: {
      description: 'Runs can act on the source.',
      entry: emit({ type: 'source.created' }),
      on: {
        update: {
          actions: [
            assign(({ event: { type, ...changes } }) => changes),
            emit({ type: 'source.updated' }),
          ],
        },
        delete: 'deleted',
      },
    },
    deleted: {
      type: 'final',
      description: 'The source is gone.',
      entry: emit({ type: 'source.deleted' }),
    },
  },
})

/** A website that runs act on. */
export const source = defineResource({
  type: 'source',
  prefix: 'src',
  input,
  commands,
  machine,
  summary: ['name', 'type', 'website'],
})
