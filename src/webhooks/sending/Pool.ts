// The file that is imported late, instead of the package: of a CommonJS package, the bundle would have the default
// export alone.
export { Pool } from "undici"
