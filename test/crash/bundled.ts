import { mkdirSync, mkdtempSync, rmSync } from 'node:fs'
import { createRequire } from 'node:module'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'

const root = fileURLToPath(new URL('../..', import.meta.url))

/** A script and all that it imports, in one file. */
export interface Bundled {
  readonly path: string
  remove(): void
}

interface Bundler {
  buildSync(options: Readonly<Record<string, unknown>>): unknown
}

/**
 * Makes one file of a script, the engine and its packages, so that a process is ready in half the time:
 * most of a start is spent on reading hundreds of modules. tsx, which the examples run with, brings the bundler.
 */
export function bundle(source: URL): Bundled {
  const bundler: Bundler = createRequire(import.meta.resolve('tsx'))('esbuild')
  mkdirSync(join(root, 'dist'), { recursive: true })
  // Within the tree, so that the native module is found.
  const folder = mkdtempSync(join(root, 'dist', 'crash-'))
  const path = join(folder, 'process.mjs')
  bundler.buildSync({
    entryPoints: [fileURLToPath(source)],
    outfile: path,
    bundle: true,
    platform: 'node',
    format: 'esm',
    target: 'node20',
    external: ['better-sqlite3'],
    // What is shorter is read sooner; names stay, for the traces of errors.
    minifyWhitespace: true,
    // Packages in CommonJS ask for Node's modules with `require`.
    banner: {
      js: "import { createRequire as toRequire } from 'node:module'; const require = toRequire(import.meta.url);",
    },
    logLevel: 'error',
  })
  return { path, remove: () => rmSync(folder, { recursive: true, force: true }) }
}
