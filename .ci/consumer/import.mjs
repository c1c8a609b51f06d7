// Every subpath of the package, from an ES module.
import { createRequire } from 'node:module'

const { exports } = createRequire(import.meta.url)('pawl/package.json')
for (const subpath of Object.keys(exports).filter((path) => !path.endsWith('.json'))) {
  const names = Object.keys(await import(`pawl${subpath.slice(1)}`))
  if (names.length === 0) throw new Error(`${subpath} exports nothing`)
  console.log('import', subpath, names.join(' '))
}
