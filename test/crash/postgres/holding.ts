/** What do processes do that are killed, or frozen, while they hold something? @module */

/** What such a process is told. */
export interface Holding {
  readonly schema: string
  /** Holds the leases of all that it can get, or stops in the middle of the commit of one call. */
  readonly mode: 'leases' | 'commit'
}

/** How long the leases of a consumer, a delivery and a verification last at most. */
export const LEASE_MS = 20_000

/** What everybody opens the database with. */
export const HELD_OPTIONS = {
  encryptionKeys: [Buffer.alloc(32, 7).toString('base64')],
  delivery: { allowPrivate: ['127.0.0.0/8'], timeout: '10s', jitter: 0 },
} as const

/** The consumer that the processes share. */
export const CONSUMER = 'mailer'

/** The name of the agent that a process which stops in a commit creates, and the key of the call. */
export const STOPPED = 'of a process that stopped'
