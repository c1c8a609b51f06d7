import { readFileSync } from 'node:fs'
import { basename } from 'node:path'

/** One thing that a process has done to its files; a file is known by a number, whatever its name. */
export type Operation =
  | { readonly do: 'create'; readonly name: string; readonly file: number }
  | { readonly do: 'unlink'; readonly name: string }
  | {
      readonly do: 'write'
      readonly file: number
      readonly offset: number
      readonly data: Buffer
    }
  | { readonly do: 'truncate'; readonly file: number; readonly size: number }
  | { readonly do: 'sync'; readonly file: number }
  | { readonly do: 'sync folder' }
  | { readonly do: 'acknowledge'; readonly text: string }

/** Where the calls of a process went. */
export interface Watched {
  readonly folder: string
  readonly acknowledgements: string
}

/** The options with which strace tells all that is needed here. */
export function recordingTo(path: string): string[] {
  const calls =
    'openat,close,write,pwrite64,pwritev,pwritev2,fsync,fdatasync,sync_file_range,ftruncate,fallocate,unlink,unlinkat,rename,renameat,renameat2,link,linkat,dup,dup2,dup3'
  return ['-xx', '-s', String(2 ** 24), '-o', path, '-e', `trace=${calls}`]
}

/** What strace has recorded, in order. */
export function readTrace(path: string, watched: Watched): Operation[] {
  const reader = createReader(watched)
  const text = readFileSync(path, 'latin1')
  const operations: Operation[] = []
  for (let start = 0; start < text.length; ) {
    const found = text.indexOf('\n', start)
    const end = found < 0 ? text.length : found
    const operation = reader(text.slice(start, end))
    if (operation !== null) operations.push(operation)
    start = end + 1
  }
  return operations
}

const LINE = /^\d+ +(\w+)\((.*)\) += (-?\d+)[^()]*(?:\(.*\))?$/s

type Target = number | 'folder' | 'acknowledgements'

function createReader({ folder, acknowledgements }: Watched): (line: string) => Operation | null {
  const names = new Map<string, number>()
  const descriptors = new Map<number, Target>()
  let files = 0

  const open = (given: string, flags: string, descriptor: number): Operation | null => {
    const path = bytesOf(given).toString()
    if (path === folder) descriptors.set(descriptor, 'folder')
    if (path === acknowledgements) descriptors.set(descriptor, 'acknowledgements')
    if (path === folder || path === acknowledgements) return null
    const name = basename(path)
    const file = names.get(name)
    descriptors.set(descriptor, file ?? files)
    if (file !== undefined) return null
    if (!flags.includes('O_CREAT')) throw new Error(`${name} was not there`)
    names.set(name, files)
    return { do: 'create', name, file: files++ }
  }
  const unlink = (given: string): Operation => {
    const name = basename(bytesOf(given).toString())
    names.delete(name)
    return { do: 'unlink', name }
  }
  const operation = (call: string, given: string[], result: number): Operation | null => {
    const [first = '', second = '', ...rest] = given
    if (call === 'openat') return open(second, rest[0] ?? '', result)
    if (call === 'unlink') return unlink(first)
    const target = descriptors.get(Number(first))
    if (target === undefined) throw new Error(`${call} of a file that was not opened`)
    if (call !== 'close') return change(call, target, second, rest)
    descriptors.delete(Number(first))
    return null
  }
  return (line) => {
    const [, call = '', given = '', result = ''] = LINE.exec(line) ?? []
    if (call === '') throw new Error(`strace says what is not understood: ${line.slice(0, 200)}`)
    return Number(result) < 0 ? null : operation(call, given.split(', '), Number(result))
  }
}

function change(call: string, target: Target, given: string, rest: readonly string[]): Operation {
  const isSync = call === 'fsync' || call === 'fdatasync'
  if (target === 'acknowledgements' && call === 'write')
    return { do: 'acknowledge', text: bytesOf(given).toString() }
  if (target === 'folder' && isSync) return { do: 'sync folder' }
  if (typeof target === 'string') throw new Error(`${call} is not expected of the ${target}`)
  if (isSync) return { do: 'sync', file: target }
  if (call === 'ftruncate') return { do: 'truncate', file: target, size: Number(given) }
  if (call !== 'pwrite64') throw new Error(`${call} is not expected of a database`)
  const data = bytesOf(given)
  if (data.length !== Number(rest[0])) throw new Error('strace has cut off what was written')
  return { do: 'write', file: target, offset: Number(rest[1]), data }
}

/** The bytes of a text that strace shows as `"\x70\x61…"`. */
function bytesOf(shown: string): Buffer {
  if (!shown.endsWith('"')) throw new Error('strace has cut off a text')
  return Buffer.from(shown.slice(1, -1).replaceAll('\\x', ''), 'hex')
}
