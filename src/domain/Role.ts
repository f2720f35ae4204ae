/**
 * What the holder of an API key may do:
 * - `ISSUER`: IssueCoupon, GetCoupon and GetCampaign, for any user: an application's backend. These need no key unless
 *   PUBLIC_ACCESS or JWT settings say otherwise;
 * - `REDEEMER`: redeems coupons and undoes that, looks one up by its code or user, and does no more: a till;
 * - `VIEWER`: reads everything (ListCampaigns, Overview, Audit, effective settings) and changes nothing, not even by a
 *   claim: a dashboard, an auditor;
 * - `OPERATOR`: all of the above, and changes campaigns (create, update, pause, resume, end), revokes coupons and
 *   rebuilds gates;
 * - `ADMIN`: all of the above, creates, lists and revokes keys, takes backups, and erases users.
 */
export const roles = ["ISSUER", "REDEEMER", "VIEWER", "OPERATOR", "ADMIN"] as const
export type Role = typeof roles[number]

/** What a call needs of its key: the rights of a role, or `LOOK_UP`, which two roles have of which neither is more. */
export type Right = Role | "LOOK_UP"

/** The rights of each role. Roles that only read, or only redeem, are part of OPERATOR alone. */
const rights: Readonly<Record<Role, ReadonlyArray<Right>>> = {
  ISSUER: ["ISSUER"],
  REDEEMER: ["REDEEMER", "LOOK_UP"],
  VIEWER: ["VIEWER", "LOOK_UP"],
  OPERATOR: ["ISSUER", "REDEEMER", "VIEWER", "OPERATOR", "LOOK_UP"],
  ADMIN: [...roles, "LOOK_UP"]
}

/** Whether a holder of `role` may make calls that need `required`. */
export const allows = (role: Role, required: Right): boolean => rights[role].includes(required)

/** The roles that have it, for messages. */
export const holdersOf = (right: Right): string => right === "LOOK_UP" ? "VIEWER or REDEEMER" : right

/** The role of that name; `undefined`: there is none. */
export const parse = (text: string): Role | undefined => roles.find((role) => role === text)

/**
 * Who may use an RPC or page:
 * - `ANYONE`: every caller, unless PUBLIC_ACCESS requires a key;
 * - `SELF`: as `ANYONE`; where JWTs are configured, a token's subject for itself, or an ISSUER for any user;
 * - `READ_SELF`: as `SELF`, and a VIEWER for any user;
 * - `REDEEM`: as the role REDEEMER, and where PUBLIC_REDEEM is on, every caller by a coupon's code;
 * - a right: holders of a key that has it.
 */
export type Access = "ANYONE" | "SELF" | "READ_SELF" | "REDEEM" | Right

export const isRight = (access: Access): access is Right =>
  access === "LOOK_UP" || roles.some((role) => role === access)
