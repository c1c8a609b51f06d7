import { mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { dirname, join, relative } from 'node:path'
import { fileURLToPath } from 'node:url'
import ts from 'typescript'

const root = fileURLToPath(new URL('../..', import.meta.url))

const FOLDERS = ['src', 'machines', 'test/crash']

/** The sources as JavaScript, so that a process starts in a moment. */
export interface Compiled {
  /** Where the JavaScript of one of the files is. */
  pathOf(source: URL): string
  remove(): void
}

/** Makes JavaScript of the sources, in a folder of its own in which packages are found. */
export function compile(): Compiled {
  mkdirSync(join(root, 'dist'), { recursive: true })
  const folder = mkdtempSync(join(root, 'dist', 'crash-'))
  for (const path of sources()) {
    const file = join(folder, toJavaScript(path))
    mkdirSync(dirname(file), { recursive: true })
    writeFileSync(file, transpiled(path))
  }
  return {
    pathOf: (source) => join(folder, toJavaScript(relative(root, fileURLToPath(source)))),
    remove: () => rmSync(folder, { recursive: true, force: true }),
  }
}

function toJavaScript(path: string): string {
  return path.replace(/\.ts$/, '.js')
}

function sources(): string[] {
  return FOLDERS.flatMap((folder) =>
    readdirSync(join(root, folder), { recursive: true, encoding: 'utf8' })
      .filter((path) => path.endsWith('.ts') && !path.endsWith('.test.ts'))
      .map((path) => join(folder, path)),
  )
}

function transpiled(path: string): string {
  const compilerOptions = {
    target: ts.ScriptTarget.ES2023,
    module: ts.ModuleKind.ESNext,
    verbatimModuleSyntax: true,
    rewriteRelativeImportExtensions: true,
  }
  const source = readFileSync(join(root, path), 'utf8')
  return ts.transpileModule(source, { fileName: path, compilerOptions }).outputText
}
