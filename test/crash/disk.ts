import type { Operation } from './trace.ts'

/** The files of a folder, by name. */
export type Files = ReadonlyMap<string, Buffer>

/** A disk of which one can say at any time what a power cut might leave on it. */
export interface Disk {
  do(operation: Operation): void
  /** How many writes to a file have not been synced. */
  unsynced(name: string): number
  /** What is left after a power cut now; one of the many possibilities. */
  cutPower(random: () => number): Files
}

type Change = Extract<Operation, { do: 'write' | 'truncate' }>
type Naming = Extract<Operation, { do: 'create' | 'unlink' }>

interface Content {
  /** More than there is, so that it can grow; zeros beyond its end. */
  bytes: Buffer
  size: number
}

interface File {
  readonly synced: Content
  changes: Change[]
}

/** What has been lost of what was not synced. */
type Loss = 'everything' | 'nothing' | 'the end' | 'some'

const LOSSES: readonly Loss[] = ['everything', 'nothing', 'the end', 'the end', 'some', 'some']

const SECTOR = 512

/** Creates an empty disk: a sync is a promise for all of a file, and nothing else is one. */
export function createDisk(): Disk {
  const files = new Map<number, File>()
  const names = new Map<string, number>()
  let namings: Naming[] = []

  const fileOf = (number: number): File => {
    const file = files.get(number) ?? { synced: { bytes: Buffer.alloc(0), size: 0 }, changes: [] }
    files.set(number, file)
    return file
  }
  const sync = (number: number): void => {
    const file = fileOf(number)
    for (const made of file.changes) change(file.synced, made)
    file.changes = []
    const created = namings.findIndex((naming) => naming.do === 'create' && naming.file === number)
    keepNames(created + 1)
  }
  const keepNames = (count: number): void => {
    for (const naming of namings.slice(0, count)) rename(names, naming)
    namings = namings.slice(count)
  }
  return {
    do: (operation) => {
      if (operation.do === 'create' || operation.do === 'unlink') namings.push(operation)
      else if (operation.do === 'sync folder') keepNames(namings.length)
      else if (operation.do === 'sync') sync(operation.file)
      else if (operation.do !== 'acknowledge') fileOf(operation.file).changes.push(operation)
    },
    unsynced: (name) => {
      const now = new Map(names)
      for (const naming of namings) rename(now, naming)
      return fileOf(now.get(name) ?? -1).changes.length
    },
    cutPower: (random) => {
      const left = new Map(names)
      // A file system keeps the order of what happens to names.
      for (const naming of survivors(namings, random, false)) rename(left, naming)
      return new Map([...left].map(([name, number]) => [name, remains(fileOf(number), random)]))
    },
  }
}

function rename(names: Map<string, number>, naming: Naming): void {
  if (naming.do === 'create') names.set(naming.name, naming.file)
  else names.delete(naming.name)
}

function remains({ synced, changes }: File, random: () => number): Buffer {
  const tears = random() < 0.5
  const content = { bytes: Buffer.from(synced.bytes), size: synced.size }
  for (const made of survivors(changes, random, true)) {
    const isTorn = tears && made.do === 'write' && random() < 0.2
    change(content, isTorn ? torn(made, random) : made)
  }
  return content.bytes.subarray(0, content.size)
}

function survivors<T>(all: readonly T[], random: () => number, mayHaveHoles: boolean): T[] {
  const loss = LOSSES[Math.floor(random() * LOSSES.length)]
  if (loss === 'everything') return []
  if (loss === 'nothing') return [...all]
  const share = random()
  if (loss === 'some' && mayHaveHoles) return all.filter(() => random() < share)
  return all.slice(0, Math.ceil(share * all.length))
}

type Write = Extract<Operation, { do: 'write' }>

/** A write of which only the beginning, only the end or only the length got to the disk. */
function torn({ offset, data, ...rest }: Write, random: () => number): Write {
  const sectors = Math.ceil(data.length / SECTOR)
  const place = Math.floor(random() * sectors) * SECTOR
  const way = random()
  if (way < 0.4) return { ...rest, offset, data: data.subarray(0, place) }
  if (way < 0.8) return { ...rest, offset: offset + place, data: data.subarray(place) }
  return { ...rest, offset, data: Buffer.alloc(data.length) }
}

/** Changes a content in place. */
function change(content: Content, made: Change): void {
  if (made.do === 'truncate') {
    makeRoom(content, made.size)
    content.bytes.fill(0, made.size, Math.max(made.size, content.size))
    content.size = made.size
    return
  }
  const end = made.offset + made.data.length
  makeRoom(content, end)
  made.data.copy(content.bytes, made.offset)
  content.size = Math.max(content.size, end)
}

function makeRoom(content: Content, size: number): void {
  if (size <= content.bytes.length) return
  const larger = Buffer.alloc(2 * size)
  content.bytes.copy(larger)
  content.bytes = larger
}
