import { randomBytes } from 'node:crypto'
import { inspect } from 'node:util'

/** Texts that must be found nowhere, by what they are. */
export type Canaries = Readonly<Record<string, string | Buffer>>

/** Makes a text that is nowhere by accident, and that JSON has to escape. */
export function makeCanary(): string {
  return `"${randomBytes(24).toString('hex')}"\n\\é\u2028${randomBytes(24).toString('hex')}`
}

// As much of a text as counts as the text: whoever has half of a password knows too much.
const PIECE_BYTES = 16

/** The ends of a text: what shows only a part of it shows one of them. */
function pieces(canary: string | Buffer): Buffer[] {
  const bytes = Buffer.from(canary)
  // Its outermost bytes may be quotes that belong to no text.
  const inner = bytes.subarray(1, -1)
  return [inner.subarray(0, PIECE_BYTES), inner.subarray(-PIECE_BYTES)]
}

/** Everything that a text can look like, by the name of the form. */
export function formsOf(piece: Buffer): ReadonlyMap<string, Buffer> {
  const text = piece.toString('latin1')
  const units = [...text].map((unit) => unit.charCodeAt(0).toString(16).padStart(4, '0'))
  const hex = piece.toString('hex')
  const forms = new Map([
    ['utf8', piece],
    ['utf16le', Buffer.from(text, 'utf16le')],
    ['hex', Buffer.from(hex)],
    ['HEX', Buffer.from(hex.toUpperCase())],
    ['JSON escapes', Buffer.from(units.map((unit) => `\\u${unit}`).join(''))],
    ['list of bytes', Buffer.from([...piece].join(','))],
    ['indented list of bytes', Buffer.from([...piece].join(', '))],
  ])
  for (const encoding of ['base64', 'base64url'] as const) {
    for (let shift = 0; shift < 3; shift++) {
      forms.set(`${encoding} at ${shift}`, Buffer.from(shifted(piece, encoding, shift)))
    }
  }
  return forms
}

/** The base64 of bytes that begin somewhere in a group of three, without what depends on their neighbours. */
function shifted(piece: Buffer, encoding: 'base64' | 'base64url', shift: number): string {
  const text = Buffer.concat([Buffer.alloc(shift), piece])
    .toString(encoding)
    .replace(/=+$/, '')
  const length = shift + piece.length
  return text.slice(Math.ceil((shift * 4) / 3), Math.floor((length * 4) / 3))
}

/** Tells which of the canaries are in some bytes, and in which form. */
export function tracesIn(bytes: Buffer | string, canaries: Canaries): string[] {
  const all = Buffer.from(bytes)
  return Object.entries(canaries).flatMap(([name, canary]) => {
    const forms = pieces(canary).flatMap((piece) => [...formsOf(piece)])
    const found = forms.filter(([, form]) => all.includes(form)).map(([form]) => form)
    return [...new Set(found)].map((form) => `${name} in ${form}`)
  })
}

/** A value in every way in which it may end up in a log. */
export function allShown(value: unknown): string {
  const shown = [String(value), inspect(value, { depth: 20, showHidden: true, getters: true })]
  try {
    shown.push(JSON.stringify(value) ?? '')
  } catch {
    // What has no JSON cannot be shown as JSON.
  }
  for (let error = value; error instanceof Error; error = error.cause) {
    shown.push(error.message, String(error.stack), JSON.stringify(error))
  }
  return shown.join('\n')
}
