import { distributedContract } from "./distributed.ts"

distributedContract("mariadb", 1, "off")
