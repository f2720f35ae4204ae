/**
 * What a server says of itself:
 * - `Away`: nothing; it cannot be reached, or does not answer;
 * - `ReadOnly`: it takes no writes (a replica);
 * - `Writable`: it takes writes, and is in no group that could confirm that it should;
 * - `Member`: of a replication group (Group Replication), and not its primary, or cut off from the majority;
 * - `Primary`: of a replication group whose majority it sees. `primaries` are the servers that it takes for primaries.
 */
export type Finding =
  | { readonly _tag: "Away"; readonly cause: string }
  | { readonly _tag: "ReadOnly" }
  | { readonly _tag: "Writable" }
  | { readonly _tag: "Member"; readonly state: string }
  | { readonly _tag: "Primary"; readonly id: string; readonly primaries: ReadonlyArray<string> }

/** The server to write to, by its index, and why new connections to it are not to be opened. */
export interface Choice {
  readonly primary: number | undefined
  readonly trouble: string | undefined
}

/** A row of `performance_schema.replication_group_members`, as the server itself sees its group. */
export interface GroupMember {
  readonly id: string
  readonly state: string
  readonly role: string
}

/** Judges a server by its own words. `members` is empty where it knows no group. */
export const finding = (self: string, readOnly: boolean, members: ReadonlyArray<GroupMember>): Finding => {
  if (members.length === 0) return readOnly ? { _tag: "ReadOnly" } : { _tag: "Writable" }
  const own = members.find(({ id }) => id === self)
  // A server that was restarted and has not joined its group again may take writes: they would be lost, or split the
  // ledger.
  if (own === undefined || own.state !== "ONLINE") return { _tag: "Member", state: own?.state ?? "OFFLINE" }
  const seen = members.filter(({ state }) => state !== "UNREACHABLE").length
  if (2 * seen <= members.length) return { _tag: "Member", state: "without a majority" }
  if (own.role !== "PRIMARY" || readOnly) return { _tag: "Member", state: own.role }
  const primaries = members.filter(({ role }) => role === "PRIMARY").map(({ id }) => id)
  return { _tag: "Primary", id: own.id, primaries }
}

/**
 * Chooses where to write. Rather nowhere than at a server that may not be the one: for a moment after a partition the
 * former primary still takes itself for it, and a server that a failover left behind may come back writable.
 */
export const choose = (findings: ReadonlyArray<Finding>, current: number | undefined): Choice => {
  const indices = (tag: Finding["_tag"]) => findings.flatMap(({ _tag }, index) => _tag === tag ? [index] : [])
  const proven = indices("Primary")
  if (proven.length > 0) {
    const all = proven.map((index) => findings[index] as Finding & { readonly _tag: "Primary" })
    const agree = all.every(({ primaries }) => all.every(({ id }) => primaries.includes(id)))
    if (!agree) return { primary: undefined, trouble: "several servers take themselves for the primary of their group" }
    return { primary: current !== undefined && proven.includes(current) ? current : proven[0], trouble: undefined }
  }
  const writable = indices("Writable")
  const isAway = current !== undefined && findings[current]?._tag === "Away"
  if (indices("Member").length > 0) {
    return {
      primary: isAway ? current : undefined,
      trouble: "the replication group has no primary that answers and has a majority"
    }
  }
  if (writable.length === 1) return { primary: writable[0], trouble: undefined }
  if (writable.length > 1) return { primary: undefined, trouble: "several servers take writes, and only one may" }
  // It may be away from our questions alone; its connections, which stay, will show.
  return { primary: isAway ? current : undefined, trouble: "no server takes writes" }
}
