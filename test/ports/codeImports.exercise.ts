import { layer as withLayer } from "@effect/vitest"
import * as Effect from "effect/Effect"
import type * as Layer from "effect/Layer"
import { expect } from "vitest"
import { named } from "../../src/domain/Actor.ts"
import { AuditLog } from "../../src/ports/AuditLog.ts"
import type { CampaignStore } from "../../src/ports/CampaignStore.ts"
import { type ChunkResult, CodeImports, MAX_CHUNK_CODES } from "../../src/ports/CodeImports.ts"
import { Ledger } from "../../src/ports/Ledger.ts"
import { batchId, batchOf, campaigns, createCampaign, draft, expectConsistent, tagsOf, users } from
  "./ledger.exercise.ts"

const record = () => ({ changeId: batchId(), actor: named("importer") })

const codesOf = (count: number, prefix = "P-"): ReadonlyArray<string> =>
  Array.from({ length: count }, (_, index) => `${prefix}${String(index).padStart(5, "0")}`)

const open = (requestId = "first", limit = 1_000) =>
  Effect.gen(function*() {
    const imports = yield* CodeImports
    const { campaignId } = yield* createCampaign(draft({ codes: { _tag: "Pool" }, couponLimit: limit }))
    const started = yield* imports.start({ ...record(), campaignId, requestId })
    if (started._tag !== "Started") throw new Error(started._tag)
    return { campaignId, imports, importId: started.codeImport.importId, key: { campaignId, importId: 1 } }
  })

/** A pool's campaign whose pool has these codes. */
const filled = (codes: ReadonlyArray<string>, limit = 1_000) =>
  Effect.gen(function*() {
    const scene = yield* open("first", limit)
    yield* scene.imports.append(scene.key, 0, codes)
    const finished = yield* scene.imports.finish({ ...record(), ...scene.key, chunks: 1 })
    expect(finished._tag).toBe("Ended")
    return scene
  })

/** The semantics of the `CodeImports` port, and of issuing from a pool, on whichever ledger the layer provides. */
export const exercise = <E>(
  name: string,
  layer: Layer.Layer<CampaignStore | Ledger | AuditLog | CodeImports, E>
): void =>
  withLayer(layer, { excludeTestServices: true, timeout: "240 seconds" })(name, (it) => {
    it.effect("begins one import of a name, in campaigns with a pool, one at a time", () =>
      Effect.gen(function*() {
        const { campaignId, imports, importId } = yield* open("여름 'x'")
        expect(importId).toBe(1)
        const again = yield* imports.start({ ...record(), campaignId, requestId: "여름 'x'" })
        expect(again).toMatchObject({
          _tag: "Started",
          codeImport: { campaignId, importId: 1, requestId: "여름 'x'", state: "OPEN", chunks: 0, received: 0 }
        })
        const other = yield* imports.start({ ...record(), campaignId, requestId: "other" })
        expect(other).toMatchObject({ _tag: "OtherOpen", codeImport: { importId: 1 } })
        const drawn = yield* createCampaign(draft())
        expect(yield* imports.start({ ...record(), campaignId: drawn.campaignId, requestId: "x" }))
          .toEqual({ _tag: "NoPool" })
        expect(yield* imports.start({ ...record(), campaignId: 2_147_483_647, requestId: "x" }))
          .toEqual({ _tag: "NoCampaign" })
        const acts = yield* Effect.flatMap(AuditLog, (log) => log.list({ beforeId: undefined, limit: 9, campaignId }))
        expect(acts.map(({ action, actor, after }) => [action, actor.name, after])).toEqual([
          ["codes.import.start", "importer", { importId: 1, requestId: "여름 'x'" }],
          ["campaign.create", "test", expect.objectContaining({ codes: "POOL" })]
        ])
      }))

    it.effect("of two that begin at once only one is begun", () =>
      Effect.gen(function*() {
        const imports = yield* CodeImports
        const { campaignId } = yield* createCampaign(draft({ codes: { _tag: "Pool" } }))
        const started = yield* Effect.all(
          ["a", "b", "c", "d"].map((requestId) => imports.start({ ...record(), campaignId, requestId })),
          { concurrency: 4 }
        )
        expect(started.map(({ _tag }) => _tag).sort()).toEqual(["OtherOpen", "OtherOpen", "OtherOpen", "Started"])
        expect((yield* imports.list(campaignId, 1_000, 10)).length).toBe(1)
      }))

    it.effect("P2: nothing is in the pool before it is finished, and then all", () =>
      Effect.gen(function*() {
        const ledger = yield* Ledger
        const { campaignId, imports, key } = yield* open()
        yield* imports.append(key, 0, codesOf(10))
        yield* imports.append(key, 1, codesOf(5, "Q-"))
        expect((yield* campaigns.find(campaignId))!.codeCount).toBe(0)
        expect(tagsOf(yield* ledger.issue(batchOf(campaignId, [1])))).toEqual(["CodesExhausted"])
        expect(yield* imports.finish({ ...record(), ...key, chunks: 1 })).toEqual({ _tag: "Changed" })
        const finished = yield* imports.finish({ ...record(), ...key, chunks: 2 })
        expect(finished).toMatchObject({ _tag: "Ended", codeImport: { state: "FINISHED", accepted: 15, received: 15 } })
        expect((yield* campaigns.find(campaignId))!.codeCount).toBe(15)
        // Once more, and no chunk any more.
        expect(yield* imports.finish({ ...record(), ...key, chunks: 2 })).toEqual(finished)
        expect((yield* campaigns.find(campaignId))!.codeCount).toBe(15)
        expect((yield* imports.append(key, 2, ["late"]))._tag).toBe("NotOpen")
        expect((yield* imports.abort({ ...record(), ...key }))._tag).toBe("NotOpen")
        expect(tagsOf(yield* ledger.issue(batchOf(campaignId, users(1, 16))))).toEqual([
          ...users(1, 15).map(() => "Issued"),
          "CodesExhausted"
        ])
        const codes = (yield* ledger.listCoupons(campaignId, 0, 100)).map(({ code }) => code)
        expect(codes.toSorted()).toEqual([...codesOf(10), ...codesOf(5, "Q-")])
        yield* expectConsistent(campaignId, 15)
        // Another import goes on with the numbers.
        const second = yield* imports.start({ ...record(), campaignId, requestId: "second" })
        expect(second).toMatchObject({ _tag: "Started", codeImport: { importId: 2 } })
        yield* imports.append({ campaignId, importId: 2 }, 0, ["R-1", "R-2"])
        yield* imports.finish({ ...record(), campaignId, importId: 2, chunks: 1 })
        expect(tagsOf(yield* ledger.issue(batchOf(campaignId, [16, 17, 18])))).toEqual([
          "Issued", "Issued", "CodesExhausted"
        ])
        yield* expectConsistent(campaignId, 17)
        expect((yield* imports.list(campaignId, 1_000, 10)).map(({ importId }) => importId)).toEqual([2, 1])
        expect((yield* imports.list(campaignId, 2, 10)).map(({ importId }) => importId)).toEqual([1])
      }))

    it.effect("stores a chunk once, whatever is repeated, and chunks in order alone", () =>
      Effect.gen(function*() {
        const { imports, key } = yield* open()
        const codes = ["A-1", "A-1", "", "B 2", "C-3"]
        const first = yield* imports.append(key, 0, codes)
        expect(first).toMatchObject({
          _tag: "Appended",
          codeImport: { chunks: 1, received: 5, accepted: 2, duplicateInFile: 1, duplicateInCampaign: 0, invalid: 2 },
          result: {
            accepted: 2,
            rejected: [
              { index: 1, reason: "DUPLICATE_IN_FILE", text: "" },
              { index: 2, reason: "INVALID", text: "is empty" },
              { index: 3, reason: "INVALID", text: expect.stringMatching(/U\+0020/) }
            ]
          }
        })
        expect(yield* imports.append(key, 0, codes)).toEqual(first)
        expect(yield* imports.append(key, 0, ["other"])).toEqual({ _tag: "OtherCodes" })
        expect(yield* imports.append(key, 2, ["later"])).toEqual({ _tag: "OutOfOrder", expected: 1 })
        expect((yield* imports.append({ ...key, importId: 9 }, 0, ["x"]))._tag).toBe("NoImport")
        const second = yield* imports.append(key, 1, ["C-3", "D-4", "A-1", "E-5"])
        expect(second).toMatchObject({
          result: { accepted: 2, rejected: [{ index: 0, reason: "DUPLICATE_IN_FILE" }, { index: 2 }] },
          codeImport: { chunks: 2, received: 9, accepted: 4, duplicateInFile: 3 }
        })
        // The same chunk from several callers at once.
        const same = yield* Effect.all(
          Array.from({ length: 6 }, () => imports.append(key, 2, codesOf(100, "S-"))),
          { concurrency: 6 }
        )
        for (const one of same) expect(one).toEqual(same[0])
        expect(yield* imports.find(key)).toMatchObject({ chunks: 3, received: 109, accepted: 104 })
        // All of its codes are known.
        expect(yield* imports.append(key, 3, codesOf(3, "S-"))).toMatchObject({
          result: { accepted: 0 }, codeImport: { chunks: 4, duplicateInFile: 6 }
        })
      }))

    it.effect("rejects what another import of the campaign brought, and takes what another campaign has", () =>
      Effect.gen(function*() {
        const { campaignId, imports } = yield* filled(["A", "B", "é"])
        yield* filled(["A", "B"])
        yield* imports.start({ ...record(), campaignId, requestId: "second" })
        const result = yield* imports.append({ campaignId, importId: 2 }, 0, ["a", "B", "C", "e\u0301"])
        expect(result).toMatchObject({
          result: {
            accepted: 2,
            rejected: [
              { index: 1, reason: "DUPLICATE_IN_CAMPAIGN" },
              // The same code in another form.
              { index: 3, reason: "DUPLICATE_IN_CAMPAIGN" }
            ]
          }
        })
      }))

    it.effect("takes a chunk of the most codes, and codes of the greatest length", () =>
      Effect.gen(function*() {
        const ledger = yield* Ledger
        const { campaignId, imports, key } = yield* open("first", 10)
        const long = ["🎟".repeat(63), "'\"\\`--".padEnd(63, "%"), "각".normalize("NFD").repeat(63)]
        const codes = [...long, ...codesOf(MAX_CHUNK_CODES - 4), "x".repeat(64)]
        expect(yield* imports.append(key, 0, codes)).toMatchObject({
          result: {
            accepted: MAX_CHUNK_CODES - 1,
            rejected: [{
              index: MAX_CHUNK_CODES - 1,
              reason: "INVALID",
              text: "must have at most 63 characters, not 64"
            }]
          }
        })
        yield* imports.finish({ ...record(), ...key, chunks: 1 })
        yield* ledger.issue(batchOf(campaignId, users(1, 10)))
        for (const { code } of yield* ledger.listCoupons(campaignId, 0, 10)) {
          expect(codes.map((one) => one.normalize("NFC"))).toContain(code)
        }
        yield* expectConsistent(campaignId, 10)
      }))

    it.effect("finds the codes of earlier chunks in a large one, wherever they are", () =>
      Effect.gen(function*() {
        const { imports, key } = yield* open()
        yield* imports.append(key, 0, ["first", "last"])
        const codes = ["first", ...codesOf(2_000), "last", "P-00007"]
        const places = [[0, "DUPLICATE_IN_FILE"], [2_001, "DUPLICATE_IN_FILE"], [2_002, "DUPLICATE_IN_FILE"]]
        const appended = yield* imports.append(key, 1, codes)
        expect(appended).toMatchObject({ result: { accepted: 2_000 }, codeImport: { chunks: 2, accepted: 2_002 } })
        const { result } = appended as { readonly result: ChunkResult }
        expect(result.rejected.map(({ index, reason }) => [index, reason])).toEqual(places)
      }))

    it.effect("stores a large chunk once, though it is sent twice at once", () =>
      Effect.gen(function*() {
        const { campaignId, imports, key } = yield* open()
        const codes = codesOf(2_500)
        const append = imports.append(key, 0, codes)
        const both = yield* Effect.all([append, append], { concurrency: 2 })
        for (const one of both) {
          expect(one).toMatchObject({ _tag: "Appended", result: { accepted: 2_500, rejected: [] } })
        }
        expect(yield* imports.finish({ ...record(), ...key, chunks: 1 })).toMatchObject({ _tag: "Ended" })
        expect((yield* campaigns.find(campaignId))!.codeCount).toBe(2_500)
      }))

    it.effect("has all of a large chunk or nothing, if the import ends while it is sent", () =>
      Effect.gen(function*() {
        for (const how of ["finish", "abort"] as const) {
          const ledger = yield* Ledger
          const { campaignId, imports, key } = yield* open()
          yield* imports.append(key, 0, ["before"])
          const end = how === "finish" ? imports.finish({ ...record(), ...key, chunks: 1 }) : imports.abort({
            ...record(),
            ...key
          })
          const [appended, ended] = yield* Effect.all([imports.append(key, 1, codesOf(2_500)), end], {
            concurrency: 2
          })
          const isFirst = appended._tag === "Appended"
          if (!isFirst) expect(appended._tag).toBe("NotOpen")
          if (how === "finish") expect(ended._tag).toBe(isFirst ? "Changed" : "Ended")
          if (ended._tag === "Changed") yield* imports.finish({ ...record(), ...key, chunks: 2 })
          const count = (yield* campaigns.find(campaignId))!.codeCount
          expect(count).toBe(how === "abort" ? 0 : isFirst ? 2_501 : 1)
          // What was left of it hinders no other import.
          const next = { campaignId, importId: 2 }
          yield* imports.start({ ...record(), campaignId, requestId: "second" })
          expect(yield* imports.append(next, 0, codesOf(10, "Q-"))).toMatchObject({ result: { accepted: 10 } })
          yield* imports.finish({ ...record(), ...next, chunks: 1 })
          expect((yield* campaigns.find(campaignId))!.codeCount).toBe(count + 10)
          const verdicts = yield* ledger.issue(batchOf(campaignId, users(1, 5)))
          expect(tagsOf(verdicts)).toEqual(["Issued", "Issued", "Issued", "Issued", "Issued"])
        }
      }))

    it.effect("loses no code of imports that begin while others end", () =>
      Effect.gen(function*() {
        const ledger = yield* Ledger
        const imports = yield* CodeImports
        const { campaignId } = yield* createCampaign(draft({ codes: { _tag: "Pool" } }))
        const kept: Array<string> = []
        /** Begins as soon as the one before has ended, which others wait for, too. */
        const one = (name: string, isKept: boolean) =>
          Effect.gen(function*() {
            const asked = imports.start({ ...record(), campaignId, requestId: name })
            const started = yield* Effect.repeat(Effect.zipLeft(asked, Effect.yieldNow()), {
              until: ({ _tag }) => _tag !== "OtherOpen"
            })
            if (started._tag !== "Started") throw new Error(started._tag)
            const key = { campaignId, importId: started.codeImport.importId }
            const codes = codesOf(3, `${name}-`)
            expect(yield* imports.append(key, 0, codes)).toMatchObject({ result: { accepted: 3, rejected: [] } })
            const ended = isKept
              ? imports.finish({ ...record(), ...key, chunks: 1 })
              : imports.abort({ ...record(), ...key })
            expect(yield* ended).toMatchObject({ codeImport: { state: isKept ? "FINISHED" : "ABORTED" } })
            if (isKept) kept.push(...codes)
          })
        yield* Effect.forEach(
          ["a", "b", "c", "d"],
          (name) =>
            Effect.forEach([...Array(8).keys()], (turn) => one(`${name}${turn}`, turn % 3 !== 1), { discard: true }),
          { concurrency: "unbounded", discard: true }
        )
        expect((yield* campaigns.find(campaignId))!.codeCount).toBe(kept.length)
        yield* ledger.issue(batchOf(campaignId, users(1, kept.length)))
        const codes = (yield* ledger.listCoupons(campaignId, 0, 1_000)).map(({ code }) => code)
        expect(codes.toSorted()).toEqual(kept.toSorted())
      }))

    it.effect("P1: coupon n gets code n, by whatever path and in whatever order claims come", () =>
      Effect.gen(function*() {
        const ledger = yield* Ledger
        const { campaignId } = yield* filled(codesOf(400), 400)
        const batches = Array.from({ length: 40 }, (_, k) => batchOf(campaignId, users(k * 7 + 1, 15)))
        yield* Effect.all(batches.map(ledger.issue), { concurrency: 8 })
        const issued = yield* ledger.listCoupons(campaignId, 0, 1_000)
        yield* expectConsistent(campaignId, issued.length)
        const rest = yield* ledger.issue(batchOf(campaignId, users(100_000, 400)))
        expect(tagsOf(rest).filter((tag) => tag === "Issued").length).toBe(400 - issued.length)
        const all = yield* ledger.listCoupons(campaignId, 0, 1_000)
        const codes = all.map(({ code }) => code)
        // Each code once; and not in the order of the file.
        expect(codes.toSorted()).toEqual(codesOf(400))
        expect(codes).not.toEqual(codesOf(400))
        expect(rest.flatMap((verdict) => verdict._tag === "Issued" ? [verdict.coupon] : []))
          .toEqual(all.slice(issued.length))
      }))

    it.effect("says sold out rather than exhausted when it is both", () =>
      Effect.gen(function*() {
        const ledger = yield* Ledger
        const { campaignId } = yield* filled(codesOf(2), 2)
        expect(tagsOf(yield* ledger.issue(batchOf(campaignId, [1, 2, 3]))))
          .toEqual(["Issued", "Issued", "CouponSoldOut"])
        expect(tagsOf(yield* ledger.issue(batchOf(campaignId, [1, 4]))))
          .toEqual(["CouponAlreadyClaimed", "CouponSoldOut"])
      }))

    it.effect("resolves a batch from a pool by its own range: committed, overtaken, never arrived", () =>
      Effect.gen(function*() {
        const ledger = yield* Ledger
        const { campaignId } = yield* filled(codesOf(50))
        const own = batchOf(campaignId, [1, 2, 3])
        yield* ledger.issue(own)
        expect((yield* ledger.resolve(own)).map(({ _tag }) => _tag)).toEqual(["Issued", "Issued", "Issued"])
        expect((yield* ledger.resolve(own)).map(({ _tag }) => _tag)).toEqual(["Issued", "Issued", "Issued"])
        // This instance knows that the campaign has a pool. Its batch was overtaken, and never arrives.
        const late = batchOf(campaignId, [3, 4])
        expect((yield* ledger.resolve(late)).map(({ _tag }) => _tag)).toEqual(["HeldAlready", "NotIssued"])
        const forbidden = yield* Effect.exit(ledger.issue(late))
        expect(forbidden._tag).toBe("Failure")
        yield* expectConsistent(campaignId, 3)
      }))

    it.effect("aborts an import and removes what it had, so that another one has its numbers and codes", () =>
      Effect.gen(function*() {
        const ledger = yield* Ledger
        const { campaignId, imports } = yield* filled(codesOf(3))
        yield* imports.start({ ...record(), campaignId, requestId: "second" })
        const second = { campaignId, importId: 2 }
        yield* imports.append(second, 0, codesOf(6_000, "X-"))
        yield* imports.append(second, 1, codesOf(6_000, "Y-"))
        const aborted = yield* imports.abort({ ...record(), ...second })
        expect(aborted).toMatchObject({ _tag: "Ended", codeImport: { state: "ABORTED", importId: 2 } })
        expect(yield* imports.abort({ ...record(), ...second })).toEqual(aborted)
        expect((yield* imports.append(second, 2, ["Z"]))._tag).toBe("NotOpen")
        expect((yield* imports.append(second, 0, codesOf(6_000, "X-")))._tag).toBe("NotOpen")
        expect((yield* imports.finish({ ...record(), ...second, chunks: 2 }))._tag).toBe("NotOpen")
        expect((yield* imports.start({ ...record(), campaignId, requestId: "second" })))
          .toMatchObject({ codeImport: { state: "ABORTED" } })
        yield* imports.start({ ...record(), campaignId, requestId: "third" })
        const third = { campaignId, importId: 3 }
        expect(yield* imports.append(third, 0, codesOf(5, "X-")))
          .toMatchObject({ result: { accepted: 5, rejected: [] } })
        yield* imports.finish({ ...record(), ...third, chunks: 1 })
        expect(tagsOf(yield* ledger.issue(batchOf(campaignId, users(1, 8))))).toEqual(users(1, 8).map(() => "Issued"))
        yield* expectConsistent(campaignId, 8)
      }))

    it.effect("does not change the pool to drawn codes, or back, once a coupon is issued", () =>
      Effect.gen(function*() {
        const ledger = yield* Ledger
        const { campaignId } = yield* filled(codesOf(3))
        yield* ledger.issue(batchOf(campaignId, [1]))
        const from = (yield* campaigns.find(campaignId))!
        const verdict = yield* campaigns.change({
          ...record(),
          action: "campaign.update",
          from,
          to: { ...from, codes: draft().codes }
        })
        expect(verdict).toEqual({ _tag: "Stale" })
      }))
  })
