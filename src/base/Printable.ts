/**
 * Without controls, ends of lines, and what turns the direction of the text that follows. Text of users and operators
 * may hold any of these, and a terminal obeys what it reads.
 */
export const printable = (text: string): string =>
  text.replace(/[\u0000-\u001f\u007f-\u009f\u2028\u2029\u202a-\u202e\u2066-\u2069]/g, "?")
