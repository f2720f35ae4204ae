// The package is large and CommonJS, so it is loaded late, by way of this module.
export { parseAllDocuments, stringify } from "yaml"
