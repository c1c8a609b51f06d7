/** Pawl inside a small HTTP backend: create, drive, query. */

import { createServer, type IncomingMessage, type ServerResponse } from 'node:http'
import type { AddressInfo } from 'node:net'
import { json } from 'node:stream/consumers'
import { createEngine, type ErrorCode, isPawlError } from 'pawl'

const engine = await createEngine({ database: ':memory:' })
await engine.start()

const STATUS: Partial<Record<ErrorCode, number>> = {
  invalid_input: 400,
  not_found: 404,
  illegal_transition: 409,
  version_conflict: 409,
  idempotency_mismatch: 409,
  storage_busy: 503,
}

async function answer(request: IncomingMessage): Promise<unknown> {
  const [, collection, id] = new URL(request.url ?? '/', 'http://localhost').pathname.split('/')
  const actor = { type: 'api_key', id: String(request.headers.authorization ?? 'nobody') }
  const route = `${request.method} /${collection}${id ? '/:id' : ''}`
  switch (route) {
    case 'POST /sessions':
      return (await engine.sessions.create({}, { actor })).resource
    case 'GET /sessions':
      return engine.sessions.list({ limit: 10 })
    case 'GET /sessions/:id':
      return engine.sessions.get(id ?? '')
    case 'POST /sessions/:id': {
      // What the body has to be is for the engine to say, in words that a caller can act on.
      const command = (await json(request)) as Parameters<typeof engine.sessions.send>[1]
      return (await engine.sessions.send(id ?? '', command, { actor })).resource
    }
    case 'GET /events':
      return engine.events.list({ limit: 10 })
    default:
      return undefined
  }
}

async function handle(request: IncomingMessage, response: ServerResponse): Promise<void> {
  const [status, body] = await answer(request).then(
    (found) => [found === undefined ? 404 : 200, found ?? { message: 'no such route' }] as const,
    (error) => {
      if (!isPawlError(error)) return [500, { message: 'internal error' }] as const
      return [STATUS[error.code] ?? 500, { ...error, message: error.message }] as const
    },
  )
  response.writeHead(status, { 'content-type': 'application/json' }).end(JSON.stringify(body))
}

const server = createServer((request, response) => void handle(request, response))
await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
const base = `http://127.0.0.1:${(server.address() as AddressInfo).port}`

interface Answer {
  readonly status: number
  readonly body: {
    readonly id: string
    readonly status: string
    readonly reason: string
    readonly accepts: readonly string[]
    readonly issues: readonly { readonly code: string }[]
    readonly data: readonly { readonly type: string }[]
  }
}

async function call(method: string, path: string, body?: object): Promise<Answer> {
  const headers = { authorization: 'key_7' }
  const init = { method, headers, ...(body && { body: JSON.stringify(body) }) }
  const response = await fetch(base + path, init)
  return { status: response.status, body: (await response.json()) as Answer['body'] }
}

const { id } = (await call('POST', '/sessions')).body
const started = await call('POST', `/sessions/${id}`, { type: 'start' })
console.log(`start:  ${started.status} ${started.body.status}`)
const again = await call('POST', `/sessions/${id}`, { type: 'start' })
console.log(
  `again:  ${again.status} ${again.body.reason}, accepts ${again.body.accepts.join(', ')}`,
)
const misspelt = await call('POST', `/sessions/${id}`, { type: 'finish' })
console.log(`finish: ${misspelt.status} ${misspelt.body.issues.map(({ code }) => code).join(', ')}`)
const events = await call('GET', '/events')
console.log(`events: ${events.body.data.map(({ type }) => type).join(', ')}`)

server.close()
await engine.close()
