import { fromBinary, toJsonString } from "@bufbuild/protobuf"
import { base64Decode } from "@bufbuild/protobuf/wire"
import { Code } from "@connectrpc/connect"
import { codeToHttpStatus, codeToString } from "@connectrpc/connect/protocol-connect"
import { execFile, spawnSync } from "node:child_process"
import { existsSync, readdirSync } from "node:fs"
import * as Path from "node:path"
import { promisify } from "node:util"
import { afterAll, beforeAll, describe, expect, it } from "vitest"
import { page } from "../../bench/report.ts"
import type { Results } from "../../bench/Results.ts"
import { settings } from "../../src/config/Settings.ts"
import { ALPHABET } from "../../src/domain/CouponCode.ts"
import { table } from "../../src/contract/FailureTable.ts"
import { CouponSchema } from "../../src/contract/gen/coupon/v1/coupon_pb.ts"
import { startInstance, type Instance } from "../support/Instance.ts"
import { blocksOf, read, root } from "./blocks.ts"

const run = promisify(execFile)

const CODE = new RegExp(`(?<=")[${ALPHABET}]{10}(?=")`, "gu")
/** Any time but the one that the tour chooses itself; one on the full second has no fraction. */
const TIME = /(?!2025-06-25T00:00:00Z)\d{4}-\d{2}-\d{2}T\d{2}:\d{2}:\d{2}(?:\.\d{1,3})?Z/g
const COUPON_BYTES = /"value":"([\w+/=]+)"/g

/**
 * An output without what differs between runs. Equal codes stay equal, times lose their value, and a coupon in base64
 * is decoded, because it holds both. `codes` collects masks from one output to the next.
 */
const masked = (output: string, codes: Map<string, string>): string =>
  output
    .replace(COUPON_BYTES, (_, value: string) =>
      `"value":${toJsonString(CouponSchema, fromBinary(CouponSchema, base64Decode(value)))}`)
    .replace(CODE, (code) => {
      if (!codes.has(code)) codes.set(code, `code ${codes.size + 1}`)
      return codes.get(code)!
    })
    .replace(TIME, "time")
    .trim()

/** JSON in one line, whatever its white space; anything else as it is. */
const compact = (text: string): string => {
  try {
    return JSON.stringify(JSON.parse(text))
  } catch {
    return text
  }
}

/** A table between marks: `name` is that of the marks and of the page in docs/reference. */
const section = (name: string): string => {
  const file = `docs/reference/${name}.md`
  const found = new RegExp(`<!-- ${name}:begin[^>]*-->\n(.*?)<!-- ${name}:end -->`, "s").exec(read(file))?.[1]
  if (found === undefined) throw new Error(`${file} has no <!-- ${name}:begin --> … <!-- ${name}:end -->`)
  return found
}

/** Cells of a table's rows, without its header. */
const cells = (table: string): ReadonlyArray<ReadonlyArray<string>> =>
  table.trim().split("\n").slice(2).map((row) => row.split("|").slice(1, -1).map((cell) => cell.trim()))

const TUTORIAL = "docs/tutorial/campaign.md"

describe.each(["README.md", TUTORIAL])("the tour of %s", (file) => {
  const blocks = blocksOf(read(file))
  // What `sh run later` shows is read from the log of events, which follows the commits.
  const steps = blocks.flatMap(({ info, text }, k) =>
    /^sh run(?: later)?$/.test(info)
      ? [{ text, shown: blocks[k + 1]?.text ?? "", timeout: info === "sh run" ? 0 : 10_000 }]
      : [])
  const shownCodes = new Map<string, string>()
  const givenCodes = new Map<string, string>()
  let instance: Instance
  beforeAll(async () => {
    instance = await startInstance()
  })
  afterAll(() => (instance as Instance | undefined)?.stop())

  it.runIf(file === TUTORIAL)("calls every RPC", () => {
    const service = read("proto/coupon/v1/coupon.proto")
    for (const [, rpc] of service.matchAll(/^\s*rpc (\w+)/gm)) {
      expect(steps.filter(({ text }) => text.includes(`coupon.v1.CouponService/${rpc}`)), rpc).not.toEqual([])
    }
  })

  for (const [k, { shown, text, timeout }] of steps.entries()) {
    // A bare machine may have neither curl nor grpcurl; the project installs neither.
    const program = text.split(" ", 1)[0]!
    if (spawnSync(program, ["--version"], { stdio: "ignore" }).error !== undefined) {
      it.skip(`step ${k + 1} needs ${program}`, () => {})
      continue
    }
    it(`step ${k + 1} prints what it says`, async () => {
      const command = text.replaceAll("127.0.0.1:8080", `127.0.0.1:${instance.port}`)
      expect(command).not.toBe(text)
      const printed = async () => {
        const { stderr, stdout } = await run("sh", ["-euc", command], {
          cwd: root,
          env: { ...process.env, NO_PROXY: "127.0.0.1", no_proxy: "127.0.0.1" }
        })
        expect(stderr).toBe("")
        return compact(masked(stdout, givenCodes))
      }
      const expected = compact(masked(shown, shownCodes))
      if (timeout === 0) expect(await printed()).toBe(expected)
      else await expect.poll(printed, { timeout }).toBe(expected)
    })
  }
})

describe("the tables of docs/reference", () => {
  it("name every setting with its default and meaning", () => {
    const rows = Object.values(settings).map((setting) =>
      `| \`${setting.name}\` | ${setting.default === "" ? "" : `\`${setting.default}\``} | ${setting.description} |`)
    expect(section("settings")).toBe(`${["| Variable | Default | Meaning |", "|---|---|---|", ...rows].join("\n")}\n`)
  })

  const failures = Object.values(table).map((entry) =>
    [
      "reason" in entry ? `${entry.message}: <reason>` : entry.message,
      codeToString(Code[entry.code]),
      String(codeToHttpStatus(Code[entry.code]))
    ].join(" ")
  ).sort()

  it("list every failure with its code", () => {
    const listed = cells(section("errors"))
      .map(([message, code, http]) => [message, code, http].join(" ").replaceAll("`", ""))
    expect(listed.sort()).toEqual(failures)
  })

  it("agree with the comment in the proto file", () => {
    const comment = read("proto/coupon/v1/coupon.proto")
      .matchAll(/^\/\/ {3}([A-Z_]+(?:: <reason>)?) +([a-z_]+) +(\d{3}) /gm)
    expect(Array.from(comment, ([, message, code, http]) => [message, code, http].join(" ")).sort()).toEqual(failures)
  })
})

describe("the alphabet of codes", () => {
  it.each(["docs/reference/api.md", "proto/coupon/v1/coupon.proto"])("stands in %s in full", (file) => {
    const documented = /[가-힣]{20,}\d+/u.exec(read(file))?.[0]
    expect(documented).toBe(ALPHABET)
    expect([ALPHABET.normalize("NFC"), new Set(ALPHABET).size]).toEqual([ALPHABET, 38])
  })
})

const documents = [
  "README.md",
  "README.ko.md",
  "SECURITY.md",
  "CONTRIBUTING.md",
  "CHANGELOG.md",
  "test/conformance/README.md",
  "src/package/README.md",
  ...readdirSync(Path.join(root, "docs"), { encoding: "utf8", recursive: true })
    .filter((file) => file.endsWith(".md"))
    .map((file) => `docs/${file}`)
]

/** The anchor that a heading gets where Markdown is shown. */
const anchor = (heading: string): string =>
  heading.toLowerCase().replace(/[^\p{L}\p{N} _-]/gu, "").trim().replaceAll(" ", "-")

const anchors = (file: string): ReadonlyArray<string> =>
  Array.from(read(file).replace(/^```.*?^```$/gms, "").matchAll(/^#+ (.+)$/gm), ([, heading]) => anchor(heading!))

const { scripts } = JSON.parse(read("package.json")) as { readonly scripts: Readonly<Record<string, string>> }

/** Words for people where a program is meant. */
const PEOPLE = /\b(?:nobody|somebody|everybody|whoever|hears?|told)\b/gi

/** Names of other systems that pages mention. */
const FOREIGN = ["SO_REUSEPORT", "NODE_EXTRA_CA_CERTS"]

/** Every word of code and configuration. */
const known = new Set(
  [
    ...["src", "test", "bench", "bin", "deploy", "envoy", "scripts", "migrations", "proto"].flatMap((folder) =>
      readdirSync(Path.join(root, folder), { encoding: "utf8", recursive: true, withFileTypes: true })
        .filter((entry) => entry.isFile()).map((entry) => Path.relative(root, Path.join(entry.parentPath, entry.name)))
    ),
    ...["package.json", "Dockerfile", "docker-compose.yml", "docker-compose.production.yml", ".ci/run"]
  ].flatMap((file) => read(file).match(/\w+/g) ?? [])
)

for (const file of documents) {
  describe(file, () => {
    const text = read(file)

    it("links to what there is", () => {
      const broken = Array.from(text.matchAll(/\]\(([^)\s]+)\)/g), ([, target]) => target!).filter((target) => {
        if (/^[a-z]+:/.test(target)) return false
        const [path, fragment] = target.split("#") as [string, string?]
        const linked = path === "" ? file : Path.join(Path.dirname(file), path)
        if (!existsSync(Path.join(root, linked))) return true
        return fragment !== undefined && linked.endsWith(".md") && !anchors(linked).includes(fragment)
      })
      expect(broken).toEqual([])
    })

    it("has lines of at most 120 columns, apart from code and tables", () => {
      const prose = text.replace(/^( *)```.*?^\1```$/gms, "").split("\n").filter((line) => !line.startsWith("|"))
      expect(prose.filter((line) => line.length > 120)).toEqual([])
    })

    it("speaks of programs, not of people", () => {
      expect(text.match(PEOPLE) ?? []).toEqual([])
    })

    it("names files that there are", () => {
      // In code quotes; and in the map of the repository, as a path at the beginning of a line.
      const named = [
        ...text.matchAll(/`((?:src|test|bench|bin|deploy|envoy|migrations|scripts|proto|docs|\.ci)\/[\w./-]*)`/g),
        ...blocksOf(text).filter(({ info }) => info === "text")
          .flatMap((block) => Array.from(block.text.matchAll(/^((?:[\w.]+\/)+[\w.]*|src\/\S+) +/gm)))
      ].map(([, path]) => path!)
      expect(named.filter((path) => !existsSync(Path.join(root, path)))).toEqual([])
    })

    it("names npm scripts that there are", () => {
      const named = Array.from(text.matchAll(/\bnpm run (?:--silent )?([\w:-]+)/g), ([, script]) => script!)
      expect(named.filter((script) => !(script in scripts))).toEqual([])
    })

    it("names settings, failures, metrics, alerts and mutants that there are", () => {
      const named = Array.from(text.matchAll(/`([A-Za-z]\w*)/g), ([, name]) => name!)
        .filter((name) => /^[A-Z][A-Z0-9]*(?:_[A-Z0-9]+)+$|^coupon_[a-z_]+[a-z]$|^Coupon[A-Z]\w+$/.test(name))
      // A counter is `..._total` in Prometheus, and has its name without that in the code.
      const unknown = named.filter((name) => !known.has(name) && !known.has(name.replace(/_(?:total|file)$/i, "")))
      expect(unknown.filter((name) => !FOREIGN.includes(name))).toEqual([])
    })
  })
}

describe("docs/README.md", () => {
  it("links to every page of docs", () => {
    const text = read("docs/README.md")
    const pages = documents.filter((file) => /^docs\/(?!ko\/|README\.md$)/.test(file))
    expect(pages.filter((file) => !text.includes(`](${file.slice("docs/".length)})`))).toEqual([])
    expect(read("README.md")).toContain("](docs/README.md)")
  })
})

describe("docs/internals/benchmarks.md", () => {
  it("is what bench/report.ts makes of benchmarks.json, in lines of at most 120 columns, tables too", () => {
    const written = read("docs/internals/benchmarks.md")
    const plots = readdirSync(Path.join(root, "docs/internals/benchmarks")).filter((name) => name.endsWith(".svg"))
    const results = JSON.parse(read("docs/internals/benchmarks.json")) as Results
    expect(written).toBe(page(results, plots.map((name) => name.slice(0, -".svg".length))))
    expect(written.split("\n").filter((line) => line.length > 120)).toEqual([])
  })
})

/** Text files below a folder, without generated code. */
const sources = (folder: string): ReadonlyArray<string> =>
  readdirSync(Path.join(root, folder), { encoding: "utf8", recursive: true })
    .filter((file) => /\.(?:ts|mjs|js|lua|sql|ya?ml|proto|pml)$/.test(file))
    .filter((file) => !/(?:^|\/)(?:gen|node_modules)\//.test(file))
    .map((file) => Path.join(folder, file))

describe("code and configuration outside of src", () => {
  const files = ["test", "bench", "bin", "deploy", "envoy", "scripts", "migrations", "proto/coupon"].flatMap(sources)

  it("speak of programs, not of people", () => {
    const found = files.filter((file) => file !== "test/readme/readme.test.ts").flatMap((file) =>
      (read(file).match(PEOPLE) ?? []).map((word) => `${file}: ${word}`))
    expect(found).toEqual([])
  })

  // The lint does so for JavaScript and TypeScript.
  it("have lines of at most 120 columns in Lua, SQL, protobuf and Promela", () => {
    const others = files.filter((file) => /\.(?:lua|sql|proto|pml)$/.test(file) && !file.includes("/connectrpc/"))
    expect(others.length).toBeGreaterThan(10)
    const wide = others.flatMap((file) =>
      read(file).split("\n").filter((line) => line.length > 120).map((line) => `${file}: ${line}`))
    expect(wide).toEqual([])
  })
})

describe("pages that code and configuration name", () => {
  it("exist", () => {
    const files = ["src", "test", "bench", "deploy", "envoy", "scripts", "migrations", "proto"].flatMap(sources)
    const broken = files.flatMap((file) =>
      Array.from(read(file).matchAll(/(?<![\w.]\/)docs\/[\w./-]+\.md/g), ([page]) => page)
        .filter((page) => !existsSync(Path.join(root, page)))
        .map((page) => `${file}: ${page}`))
    expect(broken).toEqual([])
  })
})
