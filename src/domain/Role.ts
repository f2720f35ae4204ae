/**
 * What the holder of an API key may do:
 * - `ISSUER`: IssueCoupon, GetCoupon and GetCampaign, for any user: an application's backend. These need no key unless
 *   PUBLIC_ACCESS or JWT settings say otherwise;
 * - `REDEEMER`: redeems coupons by their codes and undoes that, and does no more: a till;
 * - `VIEWER`: reads everything (ListCampaigns, Overview, Audit, effective settings) and changes nothing, not even by a
 *   claim: a dashboard, an auditor;
 * - `OPERATOR`: all of the above, and changes campaigns (create, update, pause, resume, end) and rebuilds gates;
 * - `ADMIN`: all of the above, creates, lists and revokes keys, and takes backups.
 */
export const roles = ["ISSUER", "REDEEMER", "VIEWER", "OPERATOR", "ADMIN"] as const
export type Role = typeof roles[number]

/** The roles whose rights each role has. Roles that only read, or only redeem, are part of OPERATOR alone. */
const rights: Readonly<Record<Role, ReadonlyArray<Role>>> = {
  ISSUER: ["ISSUER"],
  REDEEMER: ["REDEEMER"],
  VIEWER: ["VIEWER"],
  OPERATOR: ["ISSUER", "REDEEMER", "VIEWER", "OPERATOR"],
  ADMIN: roles
}

/** Whether a holder of `role` may make calls that need `required`. */
export const allows = (role: Role, required: Role): boolean => rights[role].includes(required)

/** The role of that name; `undefined`: there is none. */
export const parse = (text: string): Role | undefined => roles.find((role) => role === text)

/**
 * Who may use an RPC or page:
 * - `ANYONE`: every caller, unless PUBLIC_ACCESS requires a key;
 * - `SELF`: as `ANYONE`; where JWTs are configured, a token's subject for itself, or an ISSUER for any user;
 * - `READ_SELF`: as `SELF`, and a VIEWER for any user;
 * - a role: holders of a key with its rights.
 */
export type Access = "ANYONE" | "SELF" | "READ_SELF" | Role

export const isRole = (access: Access): access is Role => roles.some((role) => role === access)
