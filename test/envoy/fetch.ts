import { fetchEnvoy } from "./Envoy.ts"

fetchEnvoy()
