import { parse } from "acorn"

const isFunction = (node) => node.type === "ArrowFunctionExpression" || node.type === "FunctionExpression"

/** Calls `visit` with every node of a tree of acorn's. */
const walk = (node, visit) => {
  visit(node)
  for (const value of Object.values(node)) {
    for (const child of Array.isArray(value) ? value : [value]) if (typeof child?.type === "string") walk(child, visit)
  }
}

/**
 * Where a module's functions begin and end that are written where they are assigned to a property, as in
 * `a.b = () => c`.
 */
const assignedFunctions = (code) => {
  const found = []
  walk(parse(code, { ecmaVersion: "latest", sourceType: "module" }), (node) => {
    if (
      node.type === "AssignmentExpression" && node.operator === "=" && node.left.type === "MemberExpression" &&
      isFunction(node.right)
    ) {
      found.push(node.right)
    }
  })
  return found
}

/**
 * Rewrites `a.b = () => c` as `a.b = (0, () => c)`, which means the same, throughout a module. V8 takes a function that
 * is written where it is assigned to a property for one that will live long, and makes the closure in its old
 * generation (`CheckAssigningFunctionLiteralToProperty` in its parser). Effect and ioredis write so what they make for
 * every wait and every command: each such closure would be dead at once and yet keep all that it has seen, such as
 * whole batches of requests, from being collected until the next look at the old generation.
 */
export const youngClosures = (code) => {
  const functions = assignedFunctions(code)
  const inserts = functions.flatMap(({ end, start }) => [[start, "(0, "], [end, ")"]]).sort(([a], [b]) => a - b)
  let result = ""
  let from = 0
  for (const [at, text] of inserts) {
    result += code.slice(from, at) + text
    from = at
  }
  return result + code.slice(from)
}
