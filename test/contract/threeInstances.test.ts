import { availableDatabases } from "../support/servers.ts"
import { distributedContract } from "./distributed.ts"

distributedContract(availableDatabases().includes("mysql") ? "mysql" : "mariadb", 3, "redis")
