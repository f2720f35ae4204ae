import { describe, expect, it } from "vitest"
import { choose, finding, type Finding, type GroupMember } from "../../src/sql/mysql/connection/PrimaryChoice.ts"

const away: Finding = { _tag: "Away", cause: "connect ECONNREFUSED" }
const readOnly: Finding = { _tag: "ReadOnly" }
const writable: Finding = { _tag: "Writable" }
const member: Finding = { _tag: "Member", state: "SECONDARY" }
const primary = (id: string, ...others: ReadonlyArray<string>): Finding => ({
  _tag: "Primary",
  id,
  primaries: [id, ...others]
})

const row = (id: string, role: string, state = "ONLINE"): GroupMember => ({ id, state, role })

describe("what a server says of itself", () => {
  const trio = (a: GroupMember, b: GroupMember, c: GroupMember) => [a, b, c]
  it.each(
    [
      ["alone, writable", false, [], "Writable"],
      ["alone, read-only", true, [], "ReadOnly"],
      ["primary", false, trio(row("a", "PRIMARY"), row("b", "SECONDARY"), row("c", "SECONDARY")), "Primary"],
      [
        "primary that sees one of two others",
        false,
        trio(row("a", "PRIMARY"), row("b", "SECONDARY"), row("c", "SECONDARY", "UNREACHABLE")),
        "Primary"
      ],
      [
        "primary in a minority",
        false,
        trio(row("a", "PRIMARY"), row("b", "SECONDARY", "UNREACHABLE"), row("c", "SECONDARY", "UNREACHABLE")),
        "Member"
      ],
      [
        "one of two, cut off from the other", false, [row("a", "PRIMARY"), row("b", "SECONDARY", "UNREACHABLE")],
        "Member"
      ],
      [
        "primary that is not writable yet",
        true,
        trio(row("a", "PRIMARY"), row("b", "SECONDARY"), row("c", "SECONDARY")),
        "Member"
      ],
      ["secondary", true, trio(row("a", "SECONDARY"), row("b", "PRIMARY"), row("c", "SECONDARY")), "Member"],
      ["restarted, writable, outside its group", false, [row("a", "", "OFFLINE")], "Member"],
      ["thrown out", true, [row("a", "", "ERROR")], "Member"],
      [
        "still catching up",
        true,
        trio(row("a", "SECONDARY", "RECOVERING"), row("b", "PRIMARY"), row("c", "SECONDARY")),
        "Member"
      ]
    ] as const
  )("%s", (_, isReadOnly, members, tag) => {
    expect(finding("a", isReadOnly, members)._tag).toBe(tag)
  })
})

describe("where to write", () => {
  const chosen = (findings: ReadonlyArray<Finding>, current?: number) => {
    const { primary, trouble } = choose(findings, current)
    return [primary, trouble !== undefined]
  }

  it.each([
    ["the primary of a group", [member, primary("b"), member], undefined, 1, false],
    ["another one than before", [member, primary("b"), member], 0, 1, false],
    ["it alone, whatever a server outside the group says", [writable, primary("b"), member], 0, 1, false],
    ["nowhere while two take themselves for it", [primary("a"), primary("b"), member], 0, undefined, true],
    ["where it was, in a group of several primaries", [primary("a", "b"), primary("b", "a")], 1, 1, false],
    ["nowhere while a group has none", [member, member, member], 0, undefined, true],
    ["not at a writable server beside a group without a primary", [writable, member, member], 0, undefined, true],
    ["where it was, on old connections alone, while it is away", [away, member, member], 0, 0, true],
    ["the one that takes writes", [readOnly, writable], undefined, 1, false],
    ["the one that takes writes now", [away, writable], 0, 1, false],
    ["nowhere while two do", [writable, writable], 0, undefined, true],
    ["nowhere while none does", [readOnly, readOnly], 0, undefined, true],
    ["nowhere at first while all are away", [away, away], undefined, undefined, true],
    ["where it was while all are away", [away, away], 1, 1, true]
  ] as const)("%s", (_, findings, current, expected, trouble) => {
    expect(chosen(findings, current)).toEqual([expected, trouble])
  })
})
