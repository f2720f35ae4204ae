import { readFileSync } from "node:fs"
import * as Path from "node:path"
import { setTimeout as pause } from "node:timers/promises"
import { nodeProgram } from "../support/Instance.ts"
import { spawnGuarded } from "../support/guardian.ts"
import type { Attack } from "./attacks.ts"
import * as Honest from "./Honest.ts"
import type { Rig, Victim } from "./Rig.ts"
import { type Answers, BEGUN, type Target } from "./Wire.ts"

/** From this length on a trial measures an attack from its first byte on. */
const LONG_SECONDS = 6

/** What an attack did to an instance and to an honest client beside it. */
export interface Trial {
  readonly attack: string
  /** How long it went on. */
  readonly seconds: number
  readonly bytes: number
  /** What the attacker was answered, where the attack counts that. */
  readonly answers: Answers
  readonly honest: Honest.Honest
  /** Of the instance, in bytes. */
  readonly rss: { readonly before: number; readonly most: number }
  /** CPU time of the instance while the honest client called, by that time: 1 is a core. */
  readonly cpu: number
  readonly alive: boolean
  /** Lines of its log above INFO. */
  readonly warnings: number
}

/** Without an attacker: what an honest client gets at best. */
export const CALM = "(none)"

/** Addresses of the two clients: on loopback each of them is a machine of its own. */
const HONEST_FROM = "127.0.0.2"
const HOSTILE_FROM = "127.0.0.66"

const rssOf = (pid: number): number => {
  try {
    return Number(/^VmRSS:\s+(\d+) kB/m.exec(readFileSync(`/proc/${pid}/status`, "utf8"))?.[1] ?? 0) * 1_024
  } catch {
    return 0
  }
}

/** CPU time of a process so far, in seconds; 0 if it is gone. */
const cpuOf = (pid: number): number => {
  try {
    // Behind the name in brackets, which may hold anything, the 12th and 13th field are ticks of 10 ms.
    const fields = readFileSync(`/proc/${pid}/stat`, "utf8").split(") ")[1]!.split(" ")
    return (Number(fields[11]) + Number(fields[12])) / 100
  } catch {
    return 0
  }
}

interface Outcome {
  readonly bytes: number
  readonly answers: Answers
}

/** Starts the attack; resolves with its outcome when it is over. `begun`: when it begins, or has failed to. */
const attackFrom = (name: string, target: Target) => {
  const child = spawnGuarded(nodeProgram, [Path.join(import.meta.dirname, "attacker.ts"), name, JSON.stringify(target)])
  let output = ""
  child.stderr?.resume()
  const late = setTimeout(() => child.kill("SIGKILL"), (target.seconds + 20) * 1_000)
  const closed = new Promise<void>((resolve) => child.once("close", () => resolve()))
  const said = new Promise<void>((resolve) =>
    child.stdout?.setEncoding("utf8").on("data", (chunk: string) => {
      output += chunk
      if (output.startsWith(BEGUN)) resolve()
    }))
  const outcome = closed.then((): Outcome => {
    clearTimeout(late)
    const answer = output.slice(BEGUN.length)
    return answer === "" ? NOTHING : JSON.parse(answer) as Outcome
  })
  return { begun: Promise.race([said, closed]), outcome }
}

const NOTHING: Outcome = { bytes: 0, answers: {} }
const CALM_OUTCOME = { begun: Promise.resolve(), outcome: Promise.resolve(NOTHING) }

const levelsAbove = /"logLevel":"(?:WARN|ERROR|FATAL)"/g

const against = async (victim: Victim, attack: Attack | undefined, seconds: number): Promise<Trial> => {
  const { instance } = victim
  const where: Honest.Where = {
    port: victim.port,
    operatorPort: victim.operatorPort,
    from: HONEST_FROM,
    campaignId: victim.sale,
    firstUser: 1 + Math.floor(Math.random() * 2 ** 40),
    key: victim.key,
    till: attack?.besideTills === true ? { campaignId: victim.full, ...victim.tills } : undefined
  }
  // The first calls load code and build the campaign's gate.
  await Honest.run({ ...where, firstUser: where.firstUser + 2 ** 20 }, 0.5)
  let alive = true
  void instance.exited.then(() => alive = false)
  const before = rssOf(instance.pid)
  let most = before
  const sampling = setInterval(() => most = Math.max(most, rssOf(instance.pid)), 50)
  const { done, stolen } = victim.tills
  const target = { port: victim.port, from: HOSTILE_FROM, campaignId: victim.full, seconds: seconds + 1, done, stolen }
  const attacking = attack === undefined ? CALM_OUTCOME : attackFrom(attack.name, target)
  await attacking.begun
  // What the first moment costs would be most of a short trial; a long one has all of it.
  if (seconds < LONG_SECONDS) await pause(1_000)
  const [cpuBefore, start] = [cpuOf(instance.pid), performance.now()]
  const honest = await Honest.run(where, seconds)
  const cpu = Math.max(0, cpuOf(instance.pid) - cpuBefore) / (performance.now() - start) * 1_000
  const { answers, bytes } = await attacking.outcome
  clearInterval(sampling)
  return {
    attack: attack?.name ?? CALM,
    seconds: target.seconds,
    bytes,
    answers,
    honest,
    rss: { before, most },
    cpu,
    alive,
    warnings: instance.logs().match(levelsAbove)?.length ?? 0
  }
}

/**
 * Has an honest client call an instance of its own for so many seconds while the attack goes on. `look` sees the
 * instance after it.
 */
export const run = async (
  rig: Rig,
  attack: Attack | undefined,
  seconds: number,
  look: (victim: Victim) => Promise<void> = async () => {}
): Promise<Trial> => {
  const victim = await rig.start(attack?.env)
  try {
    const trial = await against(victim, attack, seconds)
    await look(victim)
    return trial
  } finally {
    await victim.stop()
  }
}

/** Answered in time, of all that an honest client sent. */
export const share = ({ inTime, sent }: Honest.Tally): number => inTime / sent

/** Whether an honest client got nine tenths of what it gets without an attacker. */
export const isServed = ({ honest }: Trial, calm: Trial): boolean =>
  (["claims", "health", "operators"] as const).every((kind) => share(honest[kind]) >= 0.9 * share(calm.honest[kind])) &&
  (honest.tills.sent === 0 || share(honest.tills) >= 0.9 * share(calm.honest.claims))
