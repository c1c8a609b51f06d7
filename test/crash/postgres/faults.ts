/** How does a server fail where it is told to? @module */

import type pg from 'pg'
import type {
  ClientQuery,
  ClientResult,
  Pool,
  PooledClient,
} from '../../../src/store/postgres/session.ts'
import type { Fault } from '../simulation/script.ts'
import { createTrap, type Faults } from '../simulation/trap.ts'
import { isBegin, isCommit, through } from './connections.ts'

/** Puts a pool into somebody's hand. */
export function takeHold(pool: Pool): { readonly pool: Pool; readonly faults: Faults } {
  const { spring, arm, disarm } = createTrap()
  const failed = new WeakMap<PooledClient, Promise<never>>()
  const send = (client: PooledClient, query: ClientQuery): Promise<ClientResult> => {
    const stage = stageOf(query.text)
    const fault = stage && spring(stage)
    if (fault === undefined) return answeredAfter(failed.get(client), client.query(query))
    const failing = fail(client, query, fault)
    failed.set(client, failing)
    return failing
  }
  return {
    pool: through(pool, send),
    faults: { arm: (fault) => arm(fault && inPostgres(fault)), disarm },
  }
}

/** The answer to what has been sent after something else comes after that of the other, as on any connection. */
async function answeredAfter(
  first: Promise<never> | undefined,
  answer: Promise<ClientResult>,
): Promise<ClientResult> {
  if (first !== undefined) await Promise.allSettled([answer, first])
  return answer
}

function stageOf(text: string): Fault['at'] | undefined {
  if (isBegin(text)) return 'begin'
  if (isCommit(text)) return 'commit'
  return WRITE.test(text) ? 'write' : undefined
}

const WRITE = /^\s*(with\b.*\b)?(insert into|update|delete from)\b/is

// Many rows go with one statement.
const WRITES_IN_ONE = 3

const LOST = '57P01'

/** A fault of SQLite in the words of PostgreSQL. That a commit has happened is news only where the connection is lost. */
function inPostgres(fault: Fault): Fault {
  const { at, when, nth } = fault
  const isLost = fault.dies || (at === 'commit' && when === 'after')
  const codes = CODES[at][fault.code] ?? []
  const code = isLost ? LOST : (codes[nth % codes.length] ?? LOST)
  return { ...fault, code, nth: Math.ceil(nth / WRITES_IN_ONE), dies: code === LOST }
}

// Conflicts and lost connections are repeated inside, as long as nothing has been sent to be committed.
const CODES: Readonly<Record<Fault['at'], Readonly<Record<string, readonly string[]>>>> = {
  begin: { SQLITE_BUSY: [LOST], SQLITE_FULL: ['53200'], SQLITE_IOERR_WRITE: ['57014'] },
  write: {
    SQLITE_FULL: ['53100', '40001', LOST, '57014', '40P01', 'XX000'],
    SQLITE_IOERR_WRITE: ['58030', '55P03', LOST, 'XX000'],
  },
  commit: { SQLITE_FULL: ['53100'], SQLITE_IOERR_WRITE: ['40001'], SQLITE_IOERR_FSYNC: [LOST] },
}

/**
 * Has the server fail in the place of a query, or just after it: so whatever has been sent along is undone as well.
 * Nothing is awaited before that is sent where others may be sent ahead.
 */
async function fail(client: PooledClient, query: ClientQuery, fault: Fault): Promise<never> {
  const gone = fault.dies ? endOf(client) : undefined
  const sent = fault.when === 'after' ? client.query(query) : undefined
  if (!client.pipeline) await sent
  const failing = client.query({ text: fault.dies ? TERMINATED : raising(fault) })
  // Whoever does it again afterwards meets nothing that the server still holds for this connection.
  await Promise.allSettled([sent, failing, gone])
  await sent
  await failing
  throw new Error('the server has not failed')
}

const TERMINATED = 'select pg_terminate_backend(pg_backend_pid())'

function raising({ when, at, nth, code }: Fault): string {
  return `do $$ begin raise exception 'injected ${when} ${at} ${nth}' using errcode = '${code}'; end $$`
}

/** Resolves when the server has closed the connection, and with that let go of everything. */
function endOf(client: PooledClient): Promise<void> {
  return new Promise((resolve) => {
    ;(client as unknown as pg.PoolClient).once('end', () => resolve())
  })
}
