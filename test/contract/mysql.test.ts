import { distributedContract } from "./distributed.ts"

distributedContract("mysql", 1, "off")
