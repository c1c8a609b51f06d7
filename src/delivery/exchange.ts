/** How does one exchange with a stranger go: a request, and of the answer no more than is kept? @module */

import type { Dispatcher } from 'undici'
import { messageOf } from '../errors.ts'
import { Blocked, type Need } from './guard.ts'

/** What kept a request from being answered. */
export type RequestFailure =
  | 'address_blocked'
  | 'aborted'
  | 'connection_failed'
  | 'name_not_found'
  | 'tls_failed'
  | 'answer_malformed'

/** What came back: an answer, or why there is none. */
export type Returned =
  | {
      readonly statusCode: number
      readonly headers: Readonly<Record<string, string | string[] | undefined>>
      /** At most so much of it as is read. */
      readonly body: Buffer
    }
  | { readonly failure: RequestFailure; readonly message: string }

// What is read of an answer; whoever sends more wants to do harm.
const MOST_BYTES = 65_536

// Made once: an error costs as much as all the rest of this. Nobody sees it.
const ENOUGH = new Error('no more of it is wanted')

/** Takes what the library tells of one request; ends once, with what has come until then. */
export class Exchange implements Dispatcher.DispatchHandler {
  /** Outlives the exchange, so it knows nothing of it: a connection keeps the need that it was made for. */
  readonly need: Need = { isOver: false, onOver: null }
  readonly #ended: (returned: Returned) => void
  #controller: Dispatcher.DispatchController | null = null
  #statusCode = 0
  #headers: Readonly<Record<string, string | string[] | undefined>> = {}
  readonly #chunks: Buffer[] = []
  #size = 0

  constructor(ended: (returned: Returned) => void) {
    this.#ended = ended
  }

  onRequestStart(controller: Dispatcher.DispatchController): void {
    this.#controller = controller
    if (this.need.isOver) controller.abort(ENOUGH)
  }

  onResponseStart(
    _: Dispatcher.DispatchController,
    statusCode: number,
    headers: Readonly<Record<string, string | string[] | undefined>>,
  ): void {
    // 1xx only announces the answer.
    if (statusCode < 200) return
    this.#statusCode = statusCode
    this.#headers = headers
  }

  onResponseData(_: Dispatcher.DispatchController, chunk: Buffer): void {
    this.#chunks.push(chunk)
    this.#size += chunk.length
    if (this.#size > MOST_BYTES) this.#cut(ENOUGH)
  }

  onResponseEnd(): void {
    this.#end(null)
  }

  onResponseError(_: Dispatcher.DispatchController | undefined, error: unknown): void {
    this.#end(error)
  }

  /** Waits no longer. */
  giveUp(): void {
    this.#cut(new GivenUp('the request was given up'))
  }

  #cut(reason: Error): void {
    this.#end(reason)
    this.#controller?.abort(reason)
  }

  /** Once there is a status, it counts, whatever becomes of the body. */
  #end(error: unknown): void {
    if (this.need.isOver) return
    this.need.isOver = true
    this.need.onOver?.()
    if (this.#statusCode === 0) {
      this.#ended({ failure: failureOf(error), message: causeOf(error) })
      return
    }
    const body = Buffer.concat(this.#chunks).subarray(0, MOST_BYTES)
    this.#ended({ statusCode: this.#statusCode, headers: this.#headers, body })
  }
}

class GivenUp extends Error {}

const NOT_FOUND = new Set(['ENOTFOUND', 'EAI_AGAIN', 'ENODATA'])

function failureOf(error: unknown): RequestFailure {
  const { name = '', code = '' } = error as { readonly name?: string; readonly code?: string }
  if (error instanceof GivenUp) return 'aborted'
  if (error instanceof Blocked) return 'address_blocked'
  if (NOT_FOUND.has(code)) return 'name_not_found'
  if (/^(?:ERR_TLS|ERR_SSL|CERT|DEPTH|SELF_SIGNED|UNABLE_TO|EPROTO)/.test(code)) return 'tls_failed'
  const isMalformed =
    name === 'HTTPParserError' || /^(?:HPE_|UND_ERR_HEADERS_|ERR_ASSERTION)/.test(code)
  return isMalformed ? 'answer_malformed' : 'connection_failed'
}

function causeOf(error: unknown): string {
  // Where a name has several addresses, the first failure speaks for all.
  const [first = error] = error instanceof AggregateError ? error.errors : []
  return messageOf(first)
}
