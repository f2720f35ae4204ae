// The page of the API, made from openapi.json: each call with its fields and failures, then the types.

interface Schema {
  readonly $ref?: string
  readonly type?: string | ReadonlyArray<string>
  readonly format?: string
  readonly description?: string
  readonly enum?: ReadonlyArray<string>
  readonly const?: string
  readonly items?: Schema
  readonly properties?: Readonly<Record<string, Schema>>
  readonly additionalProperties?: Schema | boolean
  readonly oneOf?: ReadonlyArray<Schema>
  readonly anyOf?: ReadonlyArray<Schema>
}
interface Content {
  readonly content?: Readonly<Record<string, { readonly schema: Schema }>>
  readonly description?: string
  readonly $ref?: string
}
interface Operation {
  readonly tags: ReadonlyArray<string>
  readonly operationId: string
  readonly description?: string
  readonly requestBody?: Content
  readonly responses: Readonly<Record<string, Content>>
}
export interface OpenApi {
  readonly info: { readonly title: string; readonly version: string }
  readonly tags: ReadonlyArray<{ readonly name: string; readonly description?: string }>
  readonly paths: Readonly<Record<string, Readonly<Record<string, Operation>>>>
  readonly components: {
    readonly schemas: Readonly<Record<string, Schema>>
    readonly responses: Readonly<Record<string, { readonly description: string }>>
  }
}

const nameOf = (ref: string): string => ref.slice(ref.lastIndexOf("/") + 1)

/** Text of the document as Markdown: nothing in it is a tag, a column or an expression of the site. */
const plain = (text: string): string =>
  text.replaceAll("<", "&lt;").replaceAll("{{", "&#123;&#123;").replaceAll("|", "\\|")

/** The same in one line, for a cell. */
const cell = (text: string | undefined): string => plain(text ?? "").replace(/\s*\n\s*/g, " ")

const typeOf = (schema: Schema): string => {
  if (schema.$ref !== undefined) return `[${nameOf(schema.$ref)}](#${nameOf(schema.$ref).toLowerCase()})`
  if (schema.const !== undefined) return `\`${JSON.stringify(schema.const)}\``
  if (schema.items !== undefined) return `${typeOf(schema.items)}[]`
  const any = schema.oneOf ?? schema.anyOf
  if (any !== undefined) return any.map(typeOf).join(" or ")
  if (typeof schema.additionalProperties === "object") return `map of ${typeOf(schema.additionalProperties)}`
  const types = [schema.type ?? []].flat()
  return types.length === 0 ? "any" : `${types.join(" or ")}${schema.format === undefined ? "" : ` (${schema.format})`}`
}

const fields = (schema: Schema | undefined): string => {
  const rows = Object.entries(schema?.properties ?? {})
  if (rows.length === 0) return "No fields."
  return [
    "| Field | Type | Meaning |",
    "|---|---|---|",
    ...rows.map(([name, field]) => `| \`${name}\` | ${typeOf(field)} | ${cell(field.description)} |`)
  ].join("\n")
}

const schemaOf = (content: Content | undefined): Schema | undefined =>
  Object.values(content?.content ?? {})[0]?.schema

/** Markdown of the whole document. */
export const apiPage = ({ components, paths, tags }: OpenApi): string => {
  const resolved = (schema: Schema | undefined): Schema | undefined =>
    schema?.$ref === undefined ? schema : components.schemas[nameOf(schema.$ref)]
  /** Messages of calls stand at the call; every other type has a section of its own. */
  const messages = new Set<string>()

  const call = (path: string, methods: Readonly<Record<string, Operation>>): string => {
    const post = methods["post"]!
    const asked = schemaOf(post.requestBody)
    const answered = schemaOf(post.responses["200"])
    for (const { $ref } of [asked, answered].flatMap((schema) => schema ?? [])) {
      if ($ref !== undefined) messages.add(nameOf($ref))
    }
    const failures = Object.entries(post.responses).filter(([status]) => status !== "200").map(([status, { $ref }]) =>
      $ref === undefined ? status : `[${status}](#answers-${nameOf($ref).toLowerCase()})`)
    return [
      `### ${path.slice(path.lastIndexOf("/") + 1)}`,
      plain(post.description ?? ""),
      Object.keys(methods).map((method) => `\`${method.toUpperCase()} ${path}\``).join(", "),
      "**Request**",
      fields(resolved(asked)),
      "**Answer**",
      fields(resolved(answered)),
      `**Failures:** ${failures.join(", ")}`
    ].join("\n\n")
  }

  const services = tags.filter(({ name }) =>
    Object.values(paths).some((methods) => methods["post"]?.tags[0] === name)
  ).map(({ description, name }) =>
    [
      `## ${name}`,
      plain(description ?? ""),
      ...Object.entries(paths).filter(([, methods]) => methods["post"]?.tags[0] === name).map(([path, methods]) =>
        call(path, methods)
      )
    ].join("\n\n"))

  const types = Object.entries(components.schemas).filter(([name]) => !messages.has(name)).map(([name, schema]) =>
    [
      `### ${name}`,
      plain(schema.description ?? ""),
      schema.enum === undefined ? fields(schema) : schema.enum.map((value) => `- \`${value}\``).join("\n")
    ].join("\n\n"))

  const answers = Object.entries(components.responses).map(([name, { description }]) =>
    `### Answers: ${name}\n\n${plain(description)}`)

  return [
    "---\noutline: [2, 3]\n---",
    "# Calls and fields",
    "Made from `/openapi.json`, which each instance serves too. [The API](/reference/api.md) has the rules, " +
    "[errors](/reference/errors.md) what a client should do.",
    ...services,
    "## Types",
    ...types,
    "## Failures",
    ...answers
  ].filter((part) => part !== "").join("\n\n").concat("\n")
}
