import * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import * as Scope from "effect/Scope"
import * as Exit from "effect/Exit"
import { InProcess, layer, URL_IN_PROCESS } from "../../src/InProcess.ts"
import { contract } from "../contract/contract.ts"

/** What `layerMemory` of coupon-issuance/testing is made of. */
const start = async () => {
  const scope = Effect.runSync(Scope.make())
  const context = await Effect.runPromise(Layer.buildWithScope(layer(Date.now), scope))
  return {
    urls: () => [URL_IN_PROCESS],
    inProcess: Context.get(context, InProcess),
    restart: () => Promise.reject(new Error("it ends with its memory")),
    stop: () => Effect.runPromise(Scope.close(scope, Exit.void))
  }
}

contract("the contract, in memory", start, false)
