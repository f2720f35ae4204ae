import { createHash } from "node:crypto"
import { existsSync } from "node:fs"
import { readdir, readFile } from "node:fs/promises"
import type { ServerResponse } from "node:http"
import type { Request, Response } from "../rpc/Request.ts"

/** What `scripts/console.mjs` built, beside the code that runs: of the bundle (dist/app) and of src/console alike. */
const BUILT = new URL("../../dist/console/", import.meta.url)

/** One content of a file: as it is, or compressed. */
interface Content {
  readonly bytes: Buffer
  readonly etag: string
}

interface File {
  readonly type: string
  readonly caching: string
  readonly plain: Content
  /** By the name of the encoding in HTTP, the best first. */
  readonly encoded: ReadonlyArray<readonly [encoding: string, content: Content]>
}

/** The files of the console, by path below `/console/`. */
export type Files = ReadonlyMap<string, File>

const TYPES: Readonly<Record<string, string>> = {
  css: "text/css; charset=utf-8",
  html: "text/html; charset=utf-8",
  ico: "image/x-icon",
  js: "text/javascript; charset=utf-8",
  json: "application/json",
  png: "image/png",
  svg: "image/svg+xml",
  txt: "text/plain; charset=utf-8",
  webmanifest: "application/manifest+json",
  woff2: "font/woff2"
}

const ENCODINGS = [["br", ".br"], ["gzip", ".gz"]] as const

/** The page of every path that is no file: its router shows what the path names. */
const INDEX = "index.html"

/** Names below this folder change with their content. */
const IMMUTABLE = "assets/"

const contentOf = (bytes: Buffer): Content =>
  ({ bytes, etag: `"${createHash("sha256").update(bytes).digest("base64url").slice(0, 22)}"` })

/** Whether the console was built. */
export const areBuilt = (): boolean => existsSync(new URL(INDEX, BUILT))

/** Reads all files of a folder; `undefined`: it is not there, because the console was not built. */
export const read = async (folder: URL = BUILT): Promise<Files | undefined> => {
  let names: ReadonlyArray<string>
  try {
    names = await readdir(folder, { recursive: true })
  } catch {
    return undefined
  }
  const present = new Set(names)
  const contents = new Map<string, Content>()
  for (const name of names) {
    // A folder's name has no dot, and the build's stamp begins with one.
    if (/^[^.].*\./.test(name)) contents.set(name, contentOf(await readFile(new URL(name, folder))))
  }
  const files = new Map<string, File>()
  for (const [name, plain] of contents) {
    const suffix = /\.(?:br|gz)$/.exec(name)?.[0]
    if (suffix !== undefined && present.has(name.slice(0, -suffix.length))) continue
    files.set(name, {
      type: TYPES[name.slice(name.lastIndexOf(".") + 1)] ?? "application/octet-stream",
      caching: name.startsWith(IMMUTABLE) ? "public, max-age=31536000, immutable" : "no-cache",
      plain,
      encoded: ENCODINGS.flatMap(([encoding, ending]) => {
        const content = contents.get(name + ending)
        return content === undefined ? [] : [[encoding, content] as const]
      })
    })
  }
  return files.has(INDEX) ? files : undefined
}

/** Whether a browser takes an encoding: `br;q=0` means that it does not. */
const accepts = (header: string, encoding: string): boolean =>
  header.split(",").some((part) => {
    const [name, ...parameters] = part.split(";").map((text) => text.trim().toLowerCase())
    return name === encoding && !parameters.some((parameter) => /^q=0(\.0*)?$/.test(parameter))
  })

const matches = (header: string | undefined, etag: string): boolean =>
  header !== undefined && header.split(",").some((one) => one.trim().replace(/^W\//, "") === etag || one.trim() === "*")

/** The file at a path below `/console/`: of a path that is none, the page; `undefined`: it names a file that is not. */
export const find = (files: Files, path: string): File | undefined =>
  files.get(path) ?? (path.startsWith(IMMUTABLE) ? undefined : files.get(INDEX))

/** Answers a GET or HEAD with a file. */
export const send = (request: Request, response: Response, file: File, last: boolean): void => {
  const accepted = request.headers["accept-encoding"]
  const [encoding, { bytes, etag }] = (accepted === undefined
    ? undefined
    : file.encoded.find(([encoding]) => accepts(String(accepted), encoding))) ?? [undefined, file.plain]
  const headers: Record<string, string | number> = {
    "Cache-Control": file.caching,
    ETag: etag,
    Vary: "Accept-Encoding"
  }
  const plain = response as ServerResponse
  if (last && "shouldKeepAlive" in response) response.shouldKeepAlive = false
  if (matches(request.headers["if-none-match"], etag)) {
    plain.writeHead(304, headers)
    plain.end()
    return
  }
  headers["Content-Type"] = file.type
  headers["Content-Length"] = bytes.length
  if (encoding !== undefined) headers["Content-Encoding"] = encoding
  plain.writeHead(200, headers)
  if (request.method === "HEAD") plain.end()
  else plain.end(bytes)
}
