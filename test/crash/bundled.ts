import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { createRequire } from 'node:module'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'

const root = fileURLToPath(new URL('../..', import.meta.url))

/** A script and all that it imports, in one file. */
export interface Bundled {
  readonly path: string
  remove(): void
}

type Options = Readonly<Record<string, unknown>>

interface Bundler {
  buildSync(options: Options): unknown
}

/**
 * Makes one file of a script, the engine and its packages, so that a process is ready in half the time:
 * most of a start is spent on reading hundreds of modules. tsx, which the examples run with, brings the bundler.
 */
export function bundle(source: URL): Bundled {
  const { folder, remove } = createFolder()
  const path = join(folder, 'process.mjs')
  build(source, path, {
    format: 'esm',
    // Packages in CommonJS ask for Node's modules with `require`.
    banner: {
      js: "import { createRequire as toRequire } from 'node:module'; const require = toRequire(import.meta.url);",
    },
  })
  return { path, remove }
}

/**
 * The same for a script that is started some hundred times. The first process that ends, by itself or when it is asked
 * to (SIGTERM), leaves its compiled code; those after it compile nothing, and need another third less. Such a script may
 * not wait for anything at its top level.
 */
export function bundleForMany(source: URL): Bundled {
  const { folder, remove } = createFolder()
  build(source, join(folder, 'process.cjs'), {
    format: 'cjs',
    define: { 'import.meta.url': 'urlOfThis' },
    banner: { js: "const urlOfThis = require('node:url').pathToFileURL(module.filename).href;" },
  })
  const path = join(folder, 'start.cjs')
  writeFileSync(path, STARTER)
  return { path, remove }
}

/** Runs the script, with the compiled code of an earlier process; the first one to end leaves its own. */
const STARTER = `
const { existsSync, readFileSync, renameSync, writeFileSync } = require('node:fs')
const { Script } = require('node:vm')
const filename = __dirname + '/process.cjs'
const cache = __dirname + '/process.cache'
const source = '(function (exports, require, module) {' + readFileSync(filename, 'utf8') + '\\n})'
const cachedData = existsSync(cache) ? readFileSync(cache) : undefined
const script = new Script(source, { filename, cachedData })
if (cachedData === undefined) {
  process.once('SIGTERM', () => process.exit())
  process.once('exit', () => {
    // Whole or not at all: others may be starting.
    writeFileSync(cache + process.pid, script.createCachedData())
    renameSync(cache + process.pid, cache)
  })
}
script.runInThisContext()(exports, require, module)
`

/** A folder within the tree, so that the native module is found. */
function createFolder() {
  mkdirSync(join(root, 'dist'), { recursive: true })
  const folder = mkdtempSync(join(root, 'dist', 'crash-'))
  return { folder, remove: () => rmSync(folder, { recursive: true, force: true }) }
}

function build(source: URL, path: string, options: Options): void {
  const bundler: Bundler = createRequire(import.meta.resolve('tsx'))('esbuild')
  bundler.buildSync({
    entryPoints: [fileURLToPath(source)],
    outfile: path,
    bundle: true,
    platform: 'node',
    target: 'node20',
    external: ['better-sqlite3'],
    // What is shorter is read sooner; names stay, for the traces of errors.
    minifyWhitespace: true,
    logLevel: 'error',
    ...options,
  })
}
