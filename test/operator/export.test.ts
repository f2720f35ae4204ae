import { create } from "@bufbuild/protobuf"
import { spawnSync } from "node:child_process"
import { appendFileSync, existsSync, readFileSync, statSync, truncateSync, writeFileSync } from "node:fs"
import * as net from "node:net"
import type { AddressInfo } from "node:net"
import * as Path from "node:path"
import { afterAll, beforeAll, describe, expect, it } from "vitest"
import { exitCodes } from "../../src/cli/ExitCode.ts"
import { formats } from "../../src/cli/exporting/CouponText.ts"
import { CouponSchema } from "../../src/contract/gen/coupon/v1/coupon_pb.ts"
import { makeClients, type Clients } from "../contract/clients.ts"
import { removeDirectory, temporaryDirectory } from "../support/guardian.ts"
import { bundled, startInstance, type Instance } from "../support/Instance.ts"
import { until } from "../transport/Stub.ts"
import { coupon, startCommand } from "./Command.ts"

/** Each of the two ends with the other. */
const together = (a: net.Socket, b: net.Socket) => {
  for (const one of [a, b]) {
    one.on("error", () => {})
    one.on("close", () => {
      a.destroy()
      b.destroy()
    })
  }
}

describe("the texts of an export", () => {
  const of = (code: string, more: { readonly userId?: bigint; readonly expiresAt?: string } = {}) =>
    create(CouponSchema, {
      campaignId: 3, userId: 2n ** 63n - 1n, code, issuedAt: "2026-01-01T00:00:00Z", number: 7, ...more
    })

  it("are CSV that a spreadsheet takes for values, and read back", () => {
    const { header, lines, read } = formats.csv
    expect(header).toBe("number,user_id,code,issued_at,campaign_id,expires_at\n")
    for (
      const [code, cell] of [
        ["가나다라마바사012", "가나다라마바사012"],
        ["A,B", "\"A,B\""],
        ["A\"B", "\"A\"\"B\""],
        ...["=1+1", "+1", "-1", "@A", "\t=1", "＝1", "＠A"].map((text) => [text, `'${text}`] as const),
        ["=1,2", "\"'=1,2\""],
        ["A=1", "A=1"]
      ] as const
    ) {
      const line = lines([of(code)])
      expect(line).toBe(`7,9223372036854775807,${cell},2026-01-01T00:00:00Z,3,\n`)
      expect(read(line.slice(0, -1))).toEqual({ campaignId: 3, number: 7 })
    }
  })

  it("say in CSV when coupons expire, and have erased users as numbers", () => {
    const { lines, read } = formats.csv
    const text = lines([of("A", { userId: -7n, expiresAt: "2026-02-01T00:00:00.5Z" }), of("-1")])
    expect(text).toBe(
      "7,-7,A,2026-01-01T00:00:00Z,3,2026-02-01T00:00:00.5Z\n" +
        "7,9223372036854775807,'-1,2026-01-01T00:00:00Z,3,\n"
    )
    for (const line of text.trim().split("\n")) expect(read(line)).toEqual({ campaignId: 3, number: 7 })
  })

  it("are NDJSON with every value as it is, and read back", () => {
    const { header, lines, read } = formats.ndjson
    const line = lines([of("=1\"+")])
    expect([header, JSON.parse(line)]).toEqual(["", {
      campaignId: 3,
      userId: "9223372036854775807",
      code: "=1\"+",
      issuedAt: "2026-01-01T00:00:00Z",
      number: 7
    }])
    expect(read(line.slice(0, -1))).toEqual({ campaignId: 3, number: 7 })
    for (const other of ["", "{", "[]", "{\"number\":1}", "null", "7"]) expect(read(other)).toBeUndefined()
  })
})

describe("coupon, for those who read coupons", () => {
  const COUPONS = 1_345
  let directory: string
  let instance: Instance
  let clients: Clients
  let run: ReturnType<typeof coupon>
  let id: number
  let files = 0

  const issue = async (campaignId: number, from: number, to: number) => {
    for (let user = from; user <= to; user += 50) {
      await Promise.all(
        Array.from({ length: Math.min(50, to - user + 1) }, (_, k) =>
          clients.next().issueCoupon({ campaignId, userId: BigInt(user + k) }))
      )
    }
  }
  beforeAll(async () => {
    directory = temporaryDirectory("export")
    instance = await startInstance()
    run = coupon(instance.url)
    clients = makeClients("Connect binary", [instance.url])
    const draft = { name: "많이", couponLimit: 10_000n, startTime: "2025-06-25T00:00:00Z" }
    id = (await clients.next().createCampaign(draft)).campaignId
    await issue(id, 1, COUPONS)
  })
  afterAll(async () => {
    clients?.close()
    await (instance as Instance | undefined)?.kill()
    removeDirectory(directory)
  })

  const fresh = () => Path.join(directory, `coupons-${++files}`)
  const numbersIn = (text: string, format: "csv" | "ndjson") => {
    const lines = text.split("\n")
    expect(lines.pop()).toBe("")
    if (format === "csv") expect(`${lines.shift()}\n`).toBe(formats.csv.header)
    return lines.map((line) => formats[format].read(line)!.number)
  }
  const upTo = (count: number, from = 1) => Array.from({ length: count - from + 1 }, (_, k) => k + from)

  describe.each(["csv", "ndjson"] as const)("export to %s", (format) => {
    const exported = async (file: string, ...more: ReadonlyArray<string>) =>
      run("export", String(id), "--format", format, "--to", file, ...more)

    it("writes every coupon, and goes on where a file ends, whatever broke it off", async () => {
      const file = fresh()
      const out = `${file}: ${COUPONS} coupons, up to number ${COUPONS}\n`
      expect(await exported(file)).toEqual({ code: 0, out, err: "" })
      const whole = readFileSync(file, "utf8")
      expect(numbersIn(whole, format)).toEqual(upTo(COUPONS))
      expect((await exported(file, "--json")).out)
        .toBe(`${JSON.stringify({ file, coupons: 0, lastNumber: COUPONS })}\n`)
      expect(readFileSync(file, "utf8")).toBe(whole)
      // Killed at any byte: in the header, in a line, within a character, at the end of a line.
      const sizes = [0, 5, 41, 42, 43, 60, 65, 66, 67, 68, 69, 70, 75_000, 75_001, 75_002, statSync(file).size - 1]
      for (const size of sizes) {
        truncateSync(file, size)
        expect(await exported(file)).toMatchObject({ code: 0, err: "" })
        expect(readFileSync(file, "utf8"), `${size} bytes`).toBe(whole)
      }
    })

    it("leaves alone what is no export of this campaign", async () => {
      const contents = [
        "hello",
        "hello\n",
        "number,user_id\n1,2\n",
        `${formats.csv.header}1,2,x,t,${id + 1}\n`,
        `{"campaignId":${id + 1},"number":1}\n`,
        format === "csv" ? `{"campaignId":${id},"number":1}\n` : formats.csv.header,
        `${formats[format].header}nonsense\n`,
        `${formats[format].header}nonsense`
      ]
      for (const content of contents) {
        const file = fresh()
        writeFileSync(file, content)
        expect(await exported(file)).toMatchObject({ code: exitCodes.PRECONDITION.code, out: "" })
        expect(readFileSync(file, "utf8")).toBe(content)
      }
      expect(await exported(directory)).toMatchObject({ code: exitCodes.FAILED.code, out: "" })
      expect(await exported(fresh(), "--after", "3")).toMatchObject({ code: exitCodes.USAGE.code })
      expect(await run("export", "2147483647", "--to", fresh())).toMatchObject({ code: exitCodes.NOT_FOUND.code })
    })

    it("goes on by itself when a connection breaks", async () => {
      let cuts = 3
      const proxy = net.createServer((socket) => {
        const upstream = net.connect(instance.port, "127.0.0.1")
        let passed = 0
        socket.pipe(upstream)
        upstream.on("data", (chunk: Buffer) => {
          socket.write(chunk)
          passed += chunk.length
          if (cuts > 0 && passed > 20_000) {
            cuts--
            socket.destroy()
            upstream.destroy()
          }
        })
        together(socket, upstream)
      })
      await new Promise<void>((resolve) => proxy.listen(0, "127.0.0.1", resolve))
      const url = `http://127.0.0.1:${(proxy.address() as AddressInfo).port}`
      const file = fresh()
      const args = ["export", String(id), "--format", format, "--to", file]
      expect(await coupon(url)(...args)).toMatchObject({ code: 0, err: "" })
      expect(cuts).toBeLessThan(3)
      expect(numbersIn(readFileSync(file, "utf8"), format)).toEqual(upTo(COUPONS))
      proxy.close()
    })
  })

  it("writes to a pipe, whose reader may have enough", async () => {
    const all = startCommand(["export", String(id), "--after", "1000"], { COUPON_URL: instance.url })
    expect(await all.ended).toMatchObject({ code: 0, err: "" })
    const lines = all.out().split("\n").slice(0, -1)
    expect(lines.map((line) => formats.csv.read(line)!.number)).toEqual(upTo(COUPONS, 1_001))
    const env = { ...process.env, COUPON_URL: instance.url }
    const pipe = `"$0" ${bundled("cli")} export ${id} --format ndjson | head -n 2`
    const head = spawnSync("sh", ["-c", pipe, process.execPath], { encoding: "utf8", env })
    expect(head.stderr).toBe("")
    expect(head.stdout.split("\n").slice(0, 2).map((line) => formats.ndjson.read(line)!.number)).toEqual([1, 2])
  })

  it("says of a campaign that does not exist what to do, in one line", async () => {
    expect(await run("export", "2147483647", "--to", fresh())).toMatchObject({
      code: exitCodes.NOT_FOUND.code,
      err: "RECORD_NOT_FOUND\ncheck the ids; `coupon campaign list` shows all campaigns\n"
    })
  })

  it("leaves whole lines behind at Ctrl-C, and goes on after kill -9", async () => {
    for (const [signal, code] of [["SIGINT", exitCodes.INTERRUPTED.code], ["SIGKILL", null]] as const) {
      const file = fresh()
      const args = ["export", String(id), "--to", file]
      const command = startCommand(args, { COUPON_URL: instance.url })
      await until(() => existsSync(file))
      command.kill(signal)
      const ended = await command.ended
      // It may have been done before.
      if (ended.code !== 0) expect(ended.code).toBe(code)
      if (signal === "SIGINT") {
        const text = readFileSync(file, "utf8")
        if (text !== "") expect(text.endsWith("\n")).toBe(true)
      }
      if (signal === "SIGKILL") appendFileSync(file, readFileSync(file, "utf8").endsWith("\n") ? "12,3" : "")
      expect(await run(...args)).toMatchObject({ code: 0 })
      expect(numbersIn(readFileSync(file, "utf8"), "csv")).toEqual(upTo(COUPONS))
    }
  })

  it("lists and finds", async () => {
    const { out } = await run("list", String(id), "--desc", "--limit", "3", "--json")
    const listed = JSON.parse(out) as {
      readonly coupons: ReadonlyArray<{ readonly code: string; readonly number: number }>
      readonly more: boolean
    }
    expect(listed.coupons.map(({ number }) => number)).toEqual([COUPONS, COUPONS - 1, COUPONS - 2])
    expect(listed.more).toBe(true)
    expect(JSON.parse((await run("list", String(id), "--limit", "1200", "--json")).out)).toMatchObject({ more: true })
    expect((await run("list", "--user", "7")).out).toMatch(new RegExp(`^ *${id} +\\d+ +7 +\\S{10} `, "m"))
    expect((await run("list", String(id), "--user", "999999")).out).toBe("there are no such coupons\n")
    expect(await run("list")).toMatchObject({ code: exitCodes.USAGE.code })
    const { code, number } = listed.coupons[0]!
    expect((await run("find", String(id), code.normalize("NFD"))).out).toMatch(new RegExp(`^number +${number}$`, "m"))
    expect(await run("find", String(id), "0")).toMatchObject({ code: exitCodes.NOT_FOUND.code })
  })

  it("opens a campaign once, however often it is asked for by one name", async () => {
    const args = ["campaign", "create", "--name", "once", "--limit", "1", "--start", "2025-06-25T00:00:00Z"]
    const named = [...args, "--request-id", "r-1"]
    const first = await run(...named)
    expect(first).toMatchObject({ code: 0, out: expect.stringMatching(/^campaign \d+\n$/) as string })
    expect((await run(...named)).out).toBe(first.out)
    expect(await run(...named, "--end", "2098-01-01T00:00:00Z")).toMatchObject({ code: exitCodes.PRECONDITION.code })
    expect((await run(...args)).out).not.toBe(first.out)
    // The first answers are lost.
    let lost = 2
    const proxy = net.createServer((socket) => {
      const upstream = net.connect(instance.port, "127.0.0.1")
      socket.pipe(upstream)
      upstream.on("data", (chunk: Buffer) => lost-- > 0 ? socket.destroy() : socket.write(chunk))
      together(socket, upstream)
    })
    await new Promise<void>((resolve) => proxy.listen(0, "127.0.0.1", resolve))
    const url = `http://127.0.0.1:${(proxy.address() as AddressInfo).port}`
    expect(await coupon(url)(...args, "--request-id", "r-2"))
      .toMatchObject({ code: 0, err: expect.stringMatching(/^once: \d+ coupons?, /) as string })
    expect(lost).toBeLessThan(0)
    const { out } = await run("campaign", "list", "--prefix", "once", "--json")
    expect((JSON.parse(out) as { readonly campaigns: ReadonlyArray<unknown> }).campaigns).toHaveLength(3)
    proxy.close()
  })
})
