// Every subpath of the package, from CommonJS.
const { exports: subpaths } = require('pawl/package.json')

for (const subpath of Object.keys(subpaths).filter((path) => !path.endsWith('.json'))) {
  const names = Object.keys(require(`pawl${subpath.slice(1)}`))
  if (names.length === 0) throw new Error(`${subpath} exports nothing`)
  console.log('require', subpath, names.join(' '))
}
