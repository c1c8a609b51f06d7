/** How does a credential live? @module */

import { assign, emit, setup } from 'xstate'
import { z } from 'zod'
import type { Checked } from '../src/core/definition.ts'
import type { Issue } from '../src/errors.ts'
import { type CommandsOf, defineResource } from '../src/resource.ts'
import { strictObject } from '../src/strict-object.ts'
import { id, nothing, reason, stringMap } from './schemas.ts'

const loginDetails = strictObject({
  username: z.string().min(1),
  password: z.string().min(1),
  source_fields: stringMap.exactOptional(),
})

const externalId = z.string().max(255).nullable()

const input = strictObject({
  source_id: id,
  auth_method: z.enum(['username_password', 'none']).default('none'),
  external_id: externalId.default(null),
  auth_credentials: loginDetails.exactOptional(),
})
  .refine(
    ({ auth_method, auth_credentials }) =>
      (auth_method === 'none') === (auth_credentials === undefined),
    {
      path: ['auth_credentials'],
      error: 'must be given with auth_method "username_password", and only then',
    },
  )
  .describe('Creates a credential that has not been used yet.')

const commands = {
  verify: nothing.describe('Reports that a login succeeded.'),
  reject: strictObject({ reason }).describe('Reports that the source rejected a login.'),
  update: strictObject({ auth_credentials: loginDetails, external_id: externalId })
    .exactPartial()
    .describe('Changes the fields that are given; new login details have to prove themselves.'),
  delete: nothing.describe('Deletes the credential and erases its secrets.'),
}

type Command = CommandsOf<typeof commands>

/** What the machine keeps; the fields of the resource. */
export interface CredentialContext {
  source_id: string
  auth_method: 'username_password' | 'none'
  external_id: string | null
  auth_credentials: { readonly username: string; readonly configured: true } | null
}

interface Update {
  readonly context: CredentialContext
  readonly event: Extract<Command, { readonly type: 'update' }>
}

const machine = setup({
  types: {
    context: {} as CredentialContext,
    input: {} as z.infer<typeof input>,
    events: {} as Command,
    emitted: {} as {
      type: `credential.${'created' | 'verified' | 'invalid' | 'unverified' | 'deleted'}`
    },
  },
}).createMachine({
  context: ({ input: { source_id, auth_method, external_id, auth_credentials } }) => ({
    source_id,
    auth_method,
    external_id,
    auth_credentials: withoutSecrets(auth_credentials),
  }),
  entry: emit({ type: 'credential.created' }),
  initial: 'unverified',
  states: {
    unverified: {
      description: 'No login has shown yet whether the details are right.',
      on: {
        verify: 'verified',
        reject: 'invalid',
        update: { actions: assign(updated) },
        delete: 'deleted',
      },
    },
    verified: {
      description: 'A login with these details has succeeded.',
      entry: emit({ type: 'credential.verified' }),
      on: {
        verify: {},
        reject: 'invalid',
        update: [
          {
            guard: givesLoginDetails,
            target: 'unverified',
            actions: [assign(updated), emit({ type: 'credential.unverified' })],
          },
          { actions: assign(updated) },
        ],
        delete: 'deleted',
      },
    },
    invalid: {
      description: 'The source rejected these details; they have to be updated.',
      entry: emit({ type: 'credential.invalid' }),
      on: {
        reject: {},
        update: [
          {
            guard: givesLoginDetails,
            target: 'unverified',
            actions: [assign(updated), emit({ type: 'credential.unverified' })],
          },
          { actions: assign(updated) },
        ],
        delete: 'deleted',
      },
    },
    deleted: {
      type: 'final',
      description: 'The credential is gone, its secrets are erased.',
      // Nothing is configured any more once the secrets are erased.
      entry: [assign({ auth_credentials: null }), emit({ type: 'credential.deleted' })],
    },
  },
})

function withoutSecrets(details: { readonly username: string } | undefined) {
  return details === undefined ? null : { username: details.username, configured: true as const }
}

function updated({ context, event }: Update) {
  const { external_id = context.external_id, auth_credentials } = event
  return {
    external_id,
    auth_credentials: auth_credentials
      ? withoutSecrets(auth_credentials)
      : context.auth_credentials,
  }
}

function givesLoginDetails({ event }: Update) {
  return event.auth_credentials !== undefined
}

function loginIssues({ payload, resource }: Checked): readonly Issue[] {
  if (payload.auth_credentials === undefined || resource?.auth_method !== 'none') return []
  const message = 'the auth_method of the credential is "none", which takes no auth_credentials'
  return [{ path: ['auth_credentials'], code: 'not_allowed', message }]
}

/** One set of login details of one user on one source. */
export const credential = defineResource({
  type: 'credential',
  prefix: 'cred',
  input,
  commands,
  machine,
  summary: ['source_id', 'auth_method', 'external_id'],
  references: { source_id: { type: 'source', restricts: ['delete'] } },
  secrets: {
    password: { path: 'auth_credentials.password' },
    source_fields: { path: 'auth_credentials.source_fields' },
  },
  check: { update: loginIssues },
})
