/**
 * How much of what repeats is run: `npm test` runs each kind of case once, in the time that a slow machine has for it;
 * `npm run test:long` all seeds, servers, protocols and sizes. What a case proves is the same in both.
 */
export const isLongProfile = process.env["TEST_PROFILE"] === "long"

/** `all` in the long profile, else `some` of it. */
export const inLongProfile = <const A>(all: A, some: A): A => isLongProfile ? all : some
