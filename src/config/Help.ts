import * as Table from "../base/text/Table.ts"
import { settings } from "./Settings.ts"

/** What `--help` prints of every setting: name, default, description. */
export const help = (): string =>
  Table.format(
    Object.values(settings).map(({ default: initial, description, name }) => [name, initial || "-", description]),
    { indent: 2 }
  )
