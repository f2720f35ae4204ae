import { attacks } from "./attacks.ts"
import * as Wire from "./Wire.ts"

/**
 * A process of its own, so that the honest client's time is its own: `attacker.ts NAME TARGET`, where TARGET is JSON.
 */
const [name, target] = process.argv.slice(2)
const attack = attacks.find((one) => one.name === name)
if (attack === undefined) throw new Error(`no such attack: ${name}`)
process.on("uncaughtException", () => {})

process.stdout.write(Wire.BEGUN)
const wire = Wire.make(JSON.parse(target!) as Wire.Target)
await attack.run(wire).catch(() => {})
await wire.hold()
console.log(JSON.stringify({ bytes: wire.bytes(), answers: wire.answers() }))
wire.close()
process.exit(0)
