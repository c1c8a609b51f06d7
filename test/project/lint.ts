/** Runs the linter on sources that exist only for one test. @module */

import { copyFile, mkdir, symlink, writeFile } from 'node:fs/promises'
import { dirname, join } from 'node:path'
import { z } from 'zod'
import { root, run, temporaryFolder } from './program.ts'

/** One finding of the linter. */
export interface Finding {
  readonly path: string
  readonly line: number
  /** The last part of the rule's name: `noImportCycles`. */
  readonly rule: string
  readonly severity: string
}

const place = z.object({ path: z.string(), start: z.object({ line: z.number() }) })
const diagnostic = z.object({ severity: z.string(), category: z.string(), location: place })
const report = z.object({ diagnostics: z.array(diagnostic) })

/** Lints sources, given by their path in the project, with the project's own rules. */
export async function lint(sources: Readonly<Record<string, string>>): Promise<readonly Finding[]> {
  const folder = await temporaryFolder()
  for (const file of ['biome.json', 'package.json', 'tsconfig.json']) {
    await copyFile(join(root, file), join(folder, file))
  }
  await symlink(join(root, 'node_modules'), join(folder, 'node_modules'))
  for (const [path, source] of Object.entries(sources)) {
    await mkdir(dirname(join(folder, path)), { recursive: true })
    await writeFile(join(folder, path), source)
  }
  const { stdout } = await run(
    'biome',
    ['lint', '--colors=off', '--reporter=json', '--max-diagnostics=none', '.'],
    folder,
  )
  return report.parse(JSON.parse(stdout)).diagnostics.map(({ severity, category, location }) => ({
    path: location.path,
    line: location.start.line,
    rule: category.slice(category.lastIndexOf('/') + 1),
    severity,
  }))
}
