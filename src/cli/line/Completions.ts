import type * as Descriptor from "@effect/cli/CommandDescriptor"
import * as Effect from "effect/Effect"
import { type CliFailure, usage } from "../CliFailure.ts"
import * as CommandWords from "./CommandWords.ts"
import { partsOf } from "./HelpPage.ts"

// What shells complete, at every level: commands of a group, options of a command, and words that an option may have.
// Those of `@effect/cli` know the first word of a command alone.

interface Option {
  readonly name: string
  readonly text: string
  /** Words that it may have; none: any, or it takes no value. */
  readonly words: ReadonlyArray<string>
  readonly takesValue: boolean
}

/** A command by its words, without `coupon`. */
interface Level {
  readonly path: string
  readonly commands: ReadonlyArray<string>
  readonly options: ReadonlyArray<Option>
}

/** `--phase scheduled | open` as its parts. */
const optionOf = ({ name, text, usage }: { readonly name: string; readonly usage: string; readonly text: string }) => {
  const value = usage.slice(usage.indexOf(name) + name.length).trim()
  return {
    name,
    text,
    takesValue: value !== "",
    words: value.includes(" | ") ? value.replaceAll(/[()]/g, "").split(" | ") : []
  }
}

const HIDDEN: ReadonlySet<string> = new Set(["--completions", "--log-level", "--wizard", "--version"])

const levelsOf = (root: Descriptor.Command<unknown>): ReadonlyArray<Level> => {
  const walk = ({ command, commands, words }: CommandWords.Named): ReadonlyArray<Level> => [
    {
      path: words.join(" "),
      commands,
      options: commands.length > 0 ? [] : partsOf(command).options.filter(({ name }) => !HIDDEN.has(name)).map(optionOf)
    },
    ...commands.flatMap((word) => walk(Effect.runSync(CommandWords.find(root, [...words, word]))))
  ]
  return walk(Effect.runSync(CommandWords.find(root, [])))
}

const quoted = (text: string): string => `'${text.replaceAll("'", "'\\''")}'`

const pathsOf = (levels: ReadonlyArray<Level>) => levels.filter(({ path }) => path !== "").map(({ path }) => path)

/** The cases of bash and of zsh, whose `case` is the same: what may come at a place of the line. */
const cases = (levels: ReadonlyArray<Level>) => ({
  paths: pathsOf(levels).map(quoted).join("|"),
  values: levels.flatMap(({ options, path }) =>
    options.filter(({ takesValue }) => takesValue).map(({ name, words }) =>
      `    ${quoted(`${path} ${name}`)}) found=(${words.map(quoted).join(" ")}); value=1 ;;`)),
  words: levels.map(({ commands, options, path }) =>
    `    ${quoted(path)}) found=(${[...commands, ...options.map(({ name }) => name)].map(quoted).join(" ")})` +
    `${commands.length > 0 ? "; group=1" : ""} ;;`)
})

const bash = (levels: ReadonlyArray<Level>): string => {
  const { paths, values, words } = cases(levels)
  return `_coupon() {
  local current="\${COMP_WORDS[COMP_CWORD]}" before="\${COMP_WORDS[COMP_CWORD - 1]}"
  local at="" word="" value="" group="" found=()
  for word in "\${COMP_WORDS[@]:1:COMP_CWORD - 1}"; do
    case "\${at:+$at }$word" in ${paths}) at="\${at:+$at }$word" ;; esac
  done
  case "$at $before" in
${values.join("\n")}
  esac
  if [[ -z $value ]]; then
    case "$at" in
${words.join("\n")}
    esac
    # Without a dash the names of files are meant, unless a command of a group is.
    [[ -n $group || $current == -* ]] || found=()
  fi
  COMPREPLY=($(compgen -W "\${found[*]}" -- "$current"))
}
complete -F _coupon -o default coupon
`
}

const zsh = (levels: ReadonlyArray<Level>): string => {
  const { paths, values, words } = cases(levels)
  return `#compdef coupon
_coupon() {
  local current="\${words[CURRENT]}" before="\${words[CURRENT-1]}" at="" word value="" group=""
  local -a found
  for word in "\${(@)words[2,CURRENT-1]}"; do
    case "\${at:+$at }$word" in (${paths}) at="\${at:+$at }$word" ;; esac
  done
  case "$at $before" in
${values.join("\n")}
  esac
  if [[ -z $value ]]; then
    case "$at" in
${words.join("\n")}
    esac
    [[ -n $group || $current == -* ]] || found=()
  fi
  if (( $#found )); then compadd -a found; else _files; fi
}
compdef _coupon coupon
`
}

const fish = (levels: ReadonlyArray<Level>): string => {
  const at = (path: string) => `-n "__coupon_at '${path}'"`
  return `set -g __coupon_paths ${pathsOf(levels).map(quoted).join(" ")}
function __coupon_at
  set -l at
  for word in (commandline -opc)[2..]
    set -l next (string join -- ' ' $at $word)
    if contains -- "$next" $__coupon_paths
      set at $at $word
    end
  end
  test "$at" = "$argv[1]"
end
${
    levels.flatMap(({ commands, options, path }) => [
      ...commands.map((word) => `complete -c coupon ${at(path)} -f -a ${quoted(word)}`),
      ...options.map(({ name, takesValue, text, words }) => {
        const value = words.length > 0 ? ` -x -a ${quoted(words.join(" "))}` : takesValue ? " -r" : ""
        return `complete -c coupon ${at(path)} -l ${name.slice(2)}${value} -d ${quoted(text)}`
      })
    ]).join("\n")
  }
`
}

const shells = { bash, sh: bash, zsh, fish }

/** What a shell is to source, so that it completes the command. */
export const render = (
  root: Descriptor.Command<unknown>,
  shell: string | undefined
): Effect.Effect<string, CliFailure> =>
  shell !== undefined && Object.hasOwn(shells, shell)
    ? Effect.sync(() => shells[shell as keyof typeof shells](levelsOf(root)))
    : Effect.fail(usage(`--completions must be one of ${Object.keys(shells).join(", ")}`))
