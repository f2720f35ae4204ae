#!/usr/bin/env node
// A plugin of protoc that writes the contract as an OpenAPI 3.1 document: the RPCs as Connect carries them over HTTP,
// with JSON bodies, GET for what changes nothing, failures and headers. Descriptions are the comments of the proto
// file; the failures are the table in the comment of its service. `npm run generate` runs it (buf.gen.yaml).
import { ScalarType } from "@bufbuild/protobuf"
import { FeatureSet_FieldPresence, MethodOptions_IdempotencyLevel as Idempotency } from "@bufbuild/protobuf/wkt"
import { createEcmaScriptPlugin, getComments, getPackageComments, runNodeJs } from "@bufbuild/protoplugin"

const words = (text) => (text ?? "").split("\n").map((line) => line.trim()).join("\n").trim()
const comment = (desc) => words(getComments(desc).leading)
/** A comment's first sentence. */
const summary = (text) => (/^.*?[.](?=\s|$)/s.exec(text)?.[0] ?? text).replaceAll("\n", " ").replace(/\.$/, "")
const ref = (kind, name) => ({ $ref: `#/components/${kind}/${name}` })
const described = (schema, text) => text === "" ? schema : { ...schema, description: text }

const INTEGER = { type: "integer", format: "int32" }
// A 64-bit integer is a string in JSON, for JavaScript has none. Requests may have a number too.
const LONG = { type: "string", format: "int64", pattern: "^-?[0-9]{1,19}$" }
const ASKED_LONG = { ...LONG, type: ["string", "integer"] }
const scalars = {
  [ScalarType.STRING]: { type: "string" },
  [ScalarType.BOOL]: { type: "boolean" },
  [ScalarType.INT32]: INTEGER,
  [ScalarType.UINT32]: { ...INTEGER, minimum: 0 },
  [ScalarType.INT64]: LONG,
  [ScalarType.UINT64]: LONG,
  [ScalarType.DOUBLE]: { type: "number" },
  [ScalarType.BYTES]: { type: "string", contentEncoding: "base64" }
}
const known = {
  "google.protobuf.Struct": { type: "object" },
  "google.protobuf.Value": {},
  "google.protobuf.Timestamp": { type: "string", format: "date-time" },
  "google.protobuf.Duration": { type: "string" }
}

const single = (schemas, { enum: enumeration, message, scalar }, asked) => {
  if (message !== undefined) return known[message.typeName] ?? schemas.message(message)
  if (enumeration !== undefined) return schemas.enumeration(enumeration)
  const schema = scalars[scalar]
  if (schema === undefined) throw new Error(`no schema for the scalar type ${ScalarType[scalar]}`)
  return asked && schema === LONG ? ASKED_LONG : schema
}

const fieldSchema = (schemas, field, asked) => {
  switch (field.fieldKind) {
    case "list":
      return { type: "array", items: single(schemas, field, asked) }
    case "map":
      return { type: "object", additionalProperties: single(schemas, field, asked) }
    default:
      return single(schemas, field, asked)
  }
}

/** These messages and all that they hold. */
const reachable = (descs) => {
  const found = new Set()
  const visit = (desc) => {
    if (found.has(desc)) return
    found.add(desc)
    for (const { message } of desc.fields) if (message !== undefined) visit(message)
  }
  descs.forEach(visit)
  return found
}

/**
 * Schemas of messages and enumerations, made when they are first named. `inputs`: the messages of requests; in those
 * every field may be left out. Answers have every field that has no presence of its own.
 */
const makeSchemas = (inputs) => {
  const made = {}
  const messages = new Set()
  const schemas = {
    made,
    message: (desc) => {
      if (!messages.has(desc)) {
        if (made[desc.name] !== undefined) throw new Error(`two messages are called ${desc.name}`)
        messages.add(desc)
        made[desc.name] = {}
        const asked = inputs.has(desc)
        const properties = Object.fromEntries(desc.fields.map((field) =>
          [field.jsonName, described(fieldSchema(schemas, field, asked), comment(field))]))
        const always = asked ? [] : desc.fields.filter(({ presence }) => presence === FeatureSet_FieldPresence.IMPLICIT)
        const required = always.length === 0 ? {} : { required: always.map(({ jsonName }) => jsonName) }
        made[desc.name] = described({ type: "object", properties, ...required }, comment(desc))
      }
      return ref("schemas", desc.name)
    },
    enumeration: (desc) => {
      made[desc.name] ??= described(
        { type: "string", enum: desc.values.map(({ name }) => name) },
        [comment(desc), ...desc.values.map((value) => [value.name, comment(value)])
          .filter(([, text]) => text !== "").map(([name, text]) => `- \`${name}\`: ${text.replaceAll("\n", " ")}`)]
          .join("\n")
      )
      return ref("schemas", desc.name)
    }
  }
  return schemas
}

/** The failures, from the table in the comment of a service: message, code, HTTP status, when. */
const failuresOf = (file) => {
  const texts = file.services.map((service) => getComments(service).leading ?? "")
  const rows = texts.join("\n").matchAll(/^ *([A-Z_]+)(: <reason>)? +([a-z_]+) +([45][0-9]{2}) +(.+)$/gm)
  const failures = [...rows].map(([, message, reason, code, status, when]) =>
    ({ message: `${message}${reason ?? ""}`, code, status, when: when.trim() }))
  if (failures.length === 0) throw new Error(`no service of ${file.name}.proto has a table of failures`)
  return failures
}

const RETRY_AFTER = {
  "Retry-After": {
    description: "Seconds after which to ask again, with jitter.",
    schema: { type: "integer", minimum: 1 }
  }
}

const titles = {
  400: "BadRequest",
  401: "Unauthenticated",
  403: "PermissionDenied",
  404: "NotFound",
  409: "Conflict",
  429: "TooManyRequests",
  500: "Internal",
  503: "Unavailable",
  504: "DeadlineExceeded"
}

const responsesOf = (failures) => {
  const responses = {}
  for (const [status, name] of Object.entries(titles)) {
    const those = failures.filter((failure) => failure.status === status)
    if (those.length === 0) continue
    responses[name] = {
      description: those.map(({ code, message, when }) => `- \`${message}\` (\`${code}\`): ${when}`).join("\n"),
      ...(status === "429" || status === "503" ? { headers: RETRY_AFTER } : {}),
      content: { "application/json": { schema: ref("schemas", "Error") } }
    }
  }
  responses.MethodNotAllowed = {
    description: "The path takes other methods.",
    headers: { Allow: { description: "Those.", schema: { type: "string" } } }
  }
  responses.UnsupportedMediaType = {
    description: "The body's content type is none of Connect, gRPC and gRPC-Web.",
    headers: { "Accept-Post": { description: "Those that are.", schema: { type: "string" } } }
  }
  const unnamed = failures.filter(({ status }) => titles[status] === undefined)
  if (unnamed.length > 0) throw new Error(`no name for a response of ${unnamed.map(({ status }) => status)}`)
  return responses
}

const errorSchema = (failures) => ({
  type: "object",
  description: "A failure, in Connect's form.",
  required: ["code", "message"],
  properties: {
    code: { type: "string", enum: [...new Set(failures.map(({ code }) => code)), "unimplemented", "unknown"] },
    message: {
      type: "string",
      description: `One of ${failures.map(({ message }) => `\`${message}\``).join(", ")}.`
    },
    details: {
      type: "array",
      description: "Of `COUPON_ALREADY_CLAIMED`: the coupon, as `debug`.",
      items: {
        type: "object",
        required: ["type", "value"],
        properties: {
          type: { type: "string", examples: ["coupon.v1.Coupon"] },
          value: { type: "string", contentEncoding: "base64" },
          debug: { type: "object" }
        }
      }
    }
  }
})

const parameter = (name, schema, description, required = false) =>
  ({ name, in: "query", required, description, schema })

const operationsOf = (schemas, method, failing) => {
  const text = comment(method)
  const id = `${method.parent.name}_${method.name}`
  const common = { tags: [method.parent.name], summary: summary(text) || method.name, description: text }
  const input = schemas.message(method.input)
  const output = schemas.message(method.output)
  if (method.methodKind !== "unary") {
    const type = "application/connect+json"
    const framed = (contentSchema) => ({
      [type]: { schema: { type: "string", contentMediaType: "application/json", contentSchema } }
    })
    const frames = `A stream in Connect's framing: messages \`${method.output.name}\`, then one that ends it. ` +
      "Use a client of Connect or gRPC."
    return {
      post: {
        operationId: id,
        ...common,
        tags: [...common.tags, STREAMS],
        description: `${text}\n\n${frames}`,
        requestBody: { required: true, description: `One \`${method.input.name}\`, framed.`, content: framed(input) },
        responses: { 200: { description: frames, content: framed(output) }, ...failing }
      }
    }
  }
  const responses = {
    200: { description: "The answer.", content: { "application/json": { schema: output } } },
    ...failing
  }
  const post = {
    operationId: id,
    ...common,
    parameters: [ref("parameters", "ConnectProtocolVersion"), ref("parameters", "ConnectTimeoutMs")],
    requestBody: { required: true, content: { "application/json": { schema: input } } },
    responses
  }
  if (method.idempotency !== Idempotency.NO_SIDE_EFFECTS) return { post }
  const message = {
    ...parameter("message", {}, `\`${method.input.name}\` as JSON; percent-encoded, as is every query.`, true)
  }
  delete message.schema
  message.content = { "application/json": { schema: input } }
  const get = {
    operationId: `${id}_get`,
    ...common,
    parameters: [
      message,
      parameter("encoding", { const: "json" }, "How `message` is written.", true),
      parameter("connect", { const: "v1" }, "The protocol's version.")
    ],
    responses
  }
  return { post, get }
}

/** The tag of RPCs that answer with a stream. */
const STREAMS = "streams"

const title = "coupon-issuance"

const document = (files, version) => {
  const services = files.flatMap((file) => file.services)
  const schemas = makeSchemas(reachable(services.flatMap(({ methods }) => methods.map(({ input }) => input))))
  const paths = {}
  const tags = []
  const main = files.find((file) => file.services.length > 0)
  const failures = failuresOf(main)
  const responses = responsesOf(failures)
  const failing = {
    ...Object.fromEntries(
      Object.entries(titles).filter(([, name]) => responses[name] !== undefined)
        .map(([status, name]) => [status, ref("responses", name)])
    ),
    405: ref("responses", "MethodNotAllowed"),
    415: ref("responses", "UnsupportedMediaType")
  }
  for (const service of services) {
    // Without the table of failures, which the responses have.
    tags.push({ name: service.name, description: comment(service).split("\n\nEvery failure")[0] || undefined })
    for (const method of service.methods) {
      paths[`/${service.typeName}/${method.name}`] = operationsOf(schemas, method, failing)
    }
  }
  if (services.some(({ methods }) => methods.some(({ methodKind }) => methodKind !== "unary"))) {
    tags.push({ name: STREAMS, description: "Answer with a stream: for clients of Connect or gRPC." })
  }
  schemas.made.Error = errorSchema(failures)
  return {
    openapi: "3.1.0",
    info: {
      title,
      version,
      summary: "Coupons handed out first come, first served, exactly.",
      description: words(getPackageComments(main).leading) ||
        "Coupons handed out first come, first served. Written from the proto file; do not edit.",
      license: { name: "MIT", identifier: "MIT" }
    },
    servers: [{ url: "http://127.0.0.1:8080", description: "`npm start`" }],
    security: [{}, { bearer: [] }],
    tags,
    paths,
    components: {
      securitySchemes: {
        bearer: { type: "http", scheme: "bearer", description: "An API key, or a user's token (JWT)." }
      },
      parameters: {
        ConnectProtocolVersion: {
          name: "Connect-Protocol-Version", in: "header", schema: { const: "1" }, description: "The protocol's version."
        },
        ConnectTimeoutMs: {
          name: "Connect-Timeout-Ms",
          in: "header",
          schema: { type: "integer", minimum: 1, maximum: 9999999999 },
          description: "How many milliseconds the caller waits; the service's own limit wins if it is shorter."
        }
      },
      responses,
      schemas: Object.fromEntries(Object.entries(schemas.made).sort(([a], [b]) => a < b ? -1 : 1))
    }
  }
}

runNodeJs(createEcmaScriptPlugin({
  name: "openapi",
  version: "v1",
  parseOptions: (options) => Object.fromEntries(options.map(({ key, value }) => [key, value])),
  generateTs: (schema) => {
    const ours = schema.files.filter((file) => file.proto.package.startsWith("coupon."))
    if (ours.length === 0) return
    const file = schema.generateFile("openapi.json")
    file.print(JSON.stringify(document(ours, schema.options.version ?? "v1"), undefined, 2))
  }
}))
