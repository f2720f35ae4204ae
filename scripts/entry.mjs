/**
 * The oldest Node of each line on which the programs run: on older ones no two sockets can share a port (`reusePort`).
 */
const OLDEST = { 22: 12, 23: 1 }

/**
 * What dist/app/NAME.js is: it looks at the version of Node before it loads the program, whose imports an older one may
 * not even find. Hence no syntax and no import here that is newer than modules themselves.
 */
export const entry = (name, exitCode) => `// Made by scripts/build.mjs: starts ${name}.program.js if Node is new enough.
const [major, minor] = process.versions.node.split(".").map(Number)
const oldest = ${JSON.stringify(OLDEST)}
if (major < ${Math.min(...Object.keys(OLDEST).map(Number))} || minor < oldest[major]) {
  console.error(
    "coupon-issuance needs Node ${Object.entries(OLDEST)[0].join(".")} or later, and it is tested on Node 24: " +
      "this is " + process.version + ".\\n\`npm start\`, \`npx coupon-issuance\`, \`npm run verify\` and " +
      "\`npm run migrate\` " +
      "run on the one that npm installs with it, node_modules/.bin/node."
  )
  process.exit(${exitCode})
}
import("./${name}.program.js")
`
