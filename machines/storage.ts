/** How does a storage item live? @module */

import { emit, setup } from 'xstate'
import { z } from 'zod'
import { type CommandsOf, defineResource } from '../src/resource.ts'
import { strictObject } from '../src/strict-object.ts'
import { id, jsonObject, nothing } from './schemas.ts'

const input = strictObject({
  task_run_id: id,
  file_name: z.string().min(1),
  file_type: z.string().regex(/^[^\s/]+\/[^\s/]+/, 'must be a MIME type such as "application/pdf"'),
  file_size: z.int().nonnegative(),
  url: z.string().min(1).nullable().default(null),
  metadata: jsonObject.nullable().default(null),
}).describe('Records a file that a run has captured.')

const commands = { delete: nothing.describe('Deletes the record of the file for good.') }

type Context = z.infer<typeof input>

/** The timers of a storage item, in milliseconds. */
export const storageDelays = { storage_retention: 90 * 86_400_000 }

const machine = setup({
  types: {
    context: {} as Context,
    input: {} as Context,
    events: {} as CommandsOf<typeof commands>,
    emitted: {} as { type: `storage.${'created' | 'deleted'}` },
  },
  delays: storageDelays,
}).createMachine({
  context: ({ input }) => input,
  initial: 'stored',
  states: {
    stored: {
      description: 'The file can be fetched.',
      entry: emit({ type: 'storage.created' }),
      after: { storage_retention: 'deleted' },
      on: { delete: 'deleted' },
    },
    deleted: {
      type: 'final',
      description: 'The file is gone.',
      entry: emit({ type: 'storage.deleted' }),
    },
  },
})

/** Describes a file captured during a task run: its record, not its bytes. */
export function storage({ storage_retention }: typeof storageDelays) {
  return defineResource({
    type: 'storage',
    prefix: 'stor',
    input,
    commands,
    machine: machine.provide({ delays: { storage_retention } }),
    summary: ['task_run_id', 'file_name', 'file_type', 'file_size'],
    references: {
      task_run_id: {
        type: 'task_run',
        status: ['running', 'interaction_required', 'pending', 'canceling'],
      },
    },
  })
}
