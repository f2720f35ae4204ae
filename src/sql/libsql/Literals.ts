/** Any text as a literal: as hexadecimal digits it needs no escaping. */
export const libsqlText = (text: string): string => `CAST(x'${Buffer.from(text, "utf8").toString("hex")}' AS TEXT)`
