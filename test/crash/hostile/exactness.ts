/**
 * Says where what was read differs from what was sent; null when it is the same, as far as JSON can tell:
 * it has no undefined properties and no negative zero. Written without the engine's own notion of JSON.
 */
export function difference(sent: unknown, read: unknown, path = '$'): string | null {
  if (typeof sent === 'string') return sameText(sent, read, path)
  if (typeof sent === 'number') {
    return Number.isFinite(sent) && sent === read ? null : `${path}: ${sent} became ${String(read)}`
  }
  if (sent === null || typeof sent === 'boolean') {
    return sent === read ? null : `${path}: ${sent} became ${typeof read}`
  }
  return typeof sent === 'object'
    ? containerDifference(sent, read, path)
    : `${path}: a ${typeof sent} was taken`
}

function containerDifference(sent: object, read: unknown, path: string): string | null {
  if (typeof read !== 'object' || read === null) return `${path}: an object became ${typeof read}`
  return Array.isArray(sent) ? listDifference(sent, read, path) : objectDifference(sent, read, path)
}

function sameText(sent: string, read: unknown, path: string): string | null {
  if (typeof read !== 'string' || sent.length !== read.length) return `${path}: a text changed`
  for (let index = 0; index < sent.length; index++) {
    if (sent.charCodeAt(index) !== read.charCodeAt(index)) return `${path}: unit ${index} changed`
  }
  return null
}

function listDifference(sent: readonly unknown[], read: object, path: string): string | null {
  if (!Array.isArray(read) || read.length !== sent.length) return `${path}: a list changed`
  for (let index = 0; index < sent.length; index++) {
    if (!Object.hasOwn(sent, index)) return `${path}: a hole was taken`
    const found = difference(sent[index], read[index], `${path}[${index}]`)
    if (found !== null) return found
  }
  return null
}

const PLAIN: ReadonlySet<unknown> = new Set([null, Object.prototype])

function objectDifference(sent: object, read: object, path: string): string | null {
  const prototype: unknown = Object.getPrototypeOf(sent)
  if (!PLAIN.has(prototype) && Object.getPrototypeOf(prototype) !== null) {
    return `${path}: an instance of a class was taken`
  }
  if (Array.isArray(read) || Object.getPrototypeOf(read) !== Object.prototype) {
    return `${path}: an object came back as something else`
  }
  const entries = Object.entries(sent).filter(([, value]) => value !== undefined)
  const keys = Object.keys(read)
  if (keys.length !== entries.length) return `${path}: the keys changed`
  for (const [index, [key, value]] of entries.entries()) {
    if (keys[index] !== key) return `${path}: the key ${JSON.stringify(key)} changed`
    const item = Object.getOwnPropertyDescriptor(read, key)?.value
    const found = difference(value, item, `${path}.${key.slice(0, 30)}`)
    if (found !== null) return found
  }
  return null
}
