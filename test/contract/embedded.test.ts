import { startEmbedded } from "../e2e/cluster.ts"
import { contract } from "./contract.ts"

contract("the contract, embedded", () => startEmbedded())
