import { spawnSync } from 'node:child_process'
import { appendFileSync, statfsSync, statSync, truncateSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { onTestFinished } from 'vitest'
import { makeTemporaryDirectory, removeDirectory } from '../support/temp.ts'
import { report } from './settings.ts'

/** A disk of a few megabytes that can be filled and emptied. */
export interface SmallDisk {
  readonly folder: string
  /** Leaves so many bytes free, or what the last page takes more. */
  fill(bytesLeft: number): void
  /** Gives back the room. */
  clear(): void
  /** Lets nobody write to it any more. */
  protect(): void
}

/** Whether a small disk can be made here; says so where it cannot. */
export function canMakeSmallDisks(purpose: string): boolean {
  const folder = makeTemporaryDirectory()
  const isMade = mount(folder, 1)
  if (isMade) spawnSync('umount', [folder])
  else report(`${purpose}: skipped, because no tmpfs may be mounted here`)
  removeDirectory(folder)
  return isMade
}

function mount(folder: string, megabytes: number): boolean {
  const given = ['-t', 'tmpfs', '-o', `size=${megabytes}m`, 'tmpfs', folder]
  return spawnSync('mount', given, { stdio: 'ignore' }).status === 0
}

/** Makes a small disk that goes away with the test. */
export function makeSmallDisk(megabytes = 6): SmallDisk {
  const folder = makeTemporaryDirectory()
  if (!mount(folder, megabytes)) throw new Error('no tmpfs may be mounted here')
  onTestFinished(() => {
    // Lazily: whatever the test has left open does not keep the others from going on.
    spawnSync('umount', ['--lazy', folder])
    removeDirectory(folder)
  })
  const ballast = join(folder, 'ballast')
  writeFileSync(ballast, '')
  return {
    folder,
    fill: (bytesLeft) => {
      const { bavail, bsize } = statfsSync(folder)
      const missing = bavail * bsize - bytesLeft
      if (missing > 0) appendFileSync(ballast, Buffer.alloc(missing))
      else truncateSync(ballast, Math.max(0, statSync(ballast).size + missing))
    },
    clear: () => truncateSync(ballast),
    protect: () => {
      const { status } = spawnSync('mount', ['-o', 'remount,ro', folder], { stdio: 'ignore' })
      if (status !== 0) throw new Error('the disk cannot be made read-only')
    },
  }
}
