import { inLongProfile } from "../support/profile.ts"
import { availableDatabases } from "../support/servers.ts"
import { distributedContract } from "./distributed.ts"

// One instance on MySQL is also the subject of worstSessions.test.ts and of test/stores/leastPrivilege.test.ts.
for (const kind of inLongProfile(availableDatabases(), availableDatabases().slice(0, 1))) {
  distributedContract(kind, 1, "off")
}
