import { createDisk, type Disk, type Files } from './disk.ts'
import { type Acknowledgement, DATABASE, type Recording } from './recordings.ts'

/** A moment at which the power goes off. */
export interface Cut {
  readonly at: number
  readonly acknowledged: readonly Acknowledgement[]
  readonly inCheckpoint: boolean
  readonly files: Files
}

const INDEX_BYTES = 32_768

/** Cuts the power so many times, here and there, and now and then in the middle of a checkpoint. */
export function* cuts(recording: Recording, count: number, random: () => number): Generator<Cut> {
  const { operations } = recording
  const checkpoints = placesWithin(operations.length, recording)
  const places = Array.from({ length: count }, () => {
    const inCheckpoint = random() < 0.3 && checkpoints.length > 0
    return inCheckpoint
      ? (checkpoints[Math.floor(random() * checkpoints.length)] ?? 0)
      : Math.floor(random() * (operations.length + 1))
  }).sort((a, b) => a - b)
  const disk = createDisk()
  const acknowledged: Acknowledgement[] = []
  let done = 0
  for (const at of places) {
    for (const operation of operations.slice(done, at)) {
      disk.do(operation)
      if (operation.do === 'acknowledge') acknowledged.push(JSON.parse(operation.text))
    }
    done = at
    const inCheckpoint = isInCheckpoint(disk)
    const files = withStaleIndex(disk.cutPower(random), random)
    yield { at, acknowledged: [...acknowledged], inCheckpoint, files }
  }
}

/** The index of the WAL is shared memory that nobody syncs: whatever is left of it, it means nothing. */
function withStaleIndex(files: Files, random: () => number): Files {
  if (random() < 0.5) return files
  const bytes = Array.from({ length: INDEX_BYTES / 4 }, () => Math.floor(random() * 2 ** 32))
  const content = Buffer.from(Uint32Array.from(bytes).buffer)
  return new Map([...files, [`${DATABASE}-shm`, content]])
}

/** Where the database itself has been written but not synced. */
function placesWithin(count: number, { operations }: Recording): number[] {
  const disk = createDisk()
  return Array.from({ length: count }, (_, index) => index + 1).filter((at) => {
    const operation = operations[at - 1]
    if (operation !== undefined) disk.do(operation)
    return isInCheckpoint(disk)
  })
}

function isInCheckpoint(disk: Disk): boolean {
  return disk.unsynced(DATABASE) > 0
}
