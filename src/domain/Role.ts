/**
 * What the holder of an API key may do:
 * - `ISSUER`: IssueCoupon, GetCoupon and GetCampaign, for any user: an application's backend. Anybody may do so without a
 *   key unless PUBLIC_ACCESS or JWT settings say otherwise;
 * - `VIEWER`: reads everything there is to see (ListCampaigns, Overview, Audit, effective settings) and changes nothing, not even
 *   by a claim: a dashboard, an auditor;
 * - `OPERATOR`: all of the above, and changes campaigns (create, update, pause, resume, end) and rebuilds gates;
 * - `ADMIN`: all of the above, creates, lists and revokes keys, and takes backups.
 */
export const roles = ["ISSUER", "VIEWER", "OPERATOR", "ADMIN"] as const
export type Role = typeof roles[number]

/** The roles whose rights each role has. In the order of `roles`, but for one thing: who only looks does not claim. */
const rights: Readonly<Record<Role, ReadonlyArray<Role>>> = {
  ISSUER: ["ISSUER"],
  VIEWER: ["VIEWER"],
  OPERATOR: ["ISSUER", "VIEWER", "OPERATOR"],
  ADMIN: roles
}

/** Whether a holder of `role` may do what needs `required`. */
export const allows = (role: Role, required: Role): boolean => rights[role].includes(required)

/** `undefined`: there is no such role. */
export const parse = (text: string): Role | undefined => roles.find((role) => role === text)

/**
 * Whom an RPC or page is for:
 * - `ANYONE`: without a key too, unless PUBLIC_ACCESS says otherwise;
 * - `SELF`: likewise; and where JWTs are configured, a token's subject for itself, or an ISSUER for anybody;
 * - `READ_SELF`: as `SELF`, and a VIEWER for anybody too;
 * - a role: whoever's key has its rights.
 */
export type Access = "ANYONE" | "SELF" | "READ_SELF" | Role

export const isRole = (access: Access): access is Role => roles.some((role) => role === access)
