import type * as Descriptor from "@effect/cli/CommandDescriptor"
import * as Either from "effect/Either"
import { nearest } from "../../base/Nearest.ts"
import { type CliFailure, usage } from "../CliFailure.ts"

type Command = Descriptor.Command<unknown>

/** The command that a line names. */
export interface Named {
  readonly command: Command
  /** Its words, without `coupon`: `campaign`, `get`. */
  readonly words: ReadonlyArray<string>
  /** It is a group, such as `campaign`: its commands, by their words. */
  readonly commands: ReadonlyArray<string>
}

/** What `@effect/cli` makes a command of. Its own `getSubcommands` goes one level deep. */
type Node =
  | { readonly _tag: "Map"; readonly command: Node }
  | { readonly _tag: "Subcommands"; readonly parent: Node; readonly children: ReadonlyArray<Node> }
  | { readonly _tag: "Standard" | "GetUserInput"; readonly name: string }

const nameOf = (node: Node): string =>
  node._tag === "Map" ? nameOf(node.command) : node._tag === "Subcommands" ? nameOf(node.parent) : node.name

const childrenOf = (node: Node): ReadonlyArray<Node> =>
  node._tag === "Map" ? childrenOf(node.command) : node._tag === "Subcommands" ? node.children : []

/** The commands of a group, by their words; none of a command that is no group. */
const below = (command: Command): ReadonlyMap<string, Command> =>
  new Map(childrenOf(command as unknown as Node).map((child) => [nameOf(child), child as unknown as Command]))

/** The words of all commands below this one, as they are typed. */
export const leavesOf = (command: Command, words: ReadonlyArray<string> = []): ReadonlyArray<string> => {
  const commands = [...below(command)]
  return commands.length === 0 ? [words.join(" ")] : commands.flatMap(([name, one]) => leavesOf(one, [...words, name]))
}

/** Follows the words at the beginning of a line. A word that is no command of its group is a mistake. */
export const find = (root: Command, args: ReadonlyArray<string>): Either.Either<Named, CliFailure> => {
  let command = root
  const words: Array<string> = []
  for (;;) {
    const commandsBelow = below(command)
    const commands = [...commandsBelow.keys()]
    const word = args[words.length]
    if (commands.length === 0 || word === undefined || word.startsWith("-")) {
      return Either.right({ command, words, commands })
    }
    const next = commandsBelow.get(word)
    if (next === undefined) {
      const group = ["coupon", ...words].join(" ")
      // One level down, so that `coupon pause 1` finds `coupon campaign pause`.
      const elsewhere = leavesOf(root).filter((leaf) => leaf.split(" ").at(-1) === word)
      const near = nearest(word, commands)
      const meant = near !== undefined ? [`${group} ${near}`] : elsewhere.map((leaf) => `coupon ${leaf}`)
      return Either.left(usage(
        `there is no command ${group} ${word}` +
          (meant.length > 0 ? `; did you mean ${meant.join(" or ")}?` : `; there are ${commands.join(", ")}`)
      ))
    }
    command = next
    words.push(word)
  }
}
