import { BaseSequencer, type TestSpecification } from "vitest/node"

/**
 * Files that take half a minute and more although they are small. Begun last, one of them would run alone while the
 * other cores have nothing left to do. Not those of `hostile/`, which want quiet neighbours.
 */
const LONG = [
  "faults/faults",
  "contract/worstSessions",
  "contract/threeInstances",
  "stores/leastPrivilege",
  "e2e/stress",
  "model/gate",
  "model/spin",
  "stores/clusterContract",
  "package/examples",
  "package/consumers",
  "console/browser/pages"
].map((name) => `/test/${name}.test.ts`)

/** Runs those first, and all others as Vitest does: the largest first, or those that took longest last time. */
export class LongestFirst extends BaseSequencer {
  override async sort(files: Array<TestSpecification>): Promise<Array<TestSpecification>> {
    const rank = ({ moduleId }: TestSpecification) => {
      const place = LONG.findIndex((name) => moduleId.endsWith(name))
      return place < 0 ? LONG.length : place
    }
    return (await super.sort(files)).toSorted((a, b) => rank(a) - rank(b))
  }
}
