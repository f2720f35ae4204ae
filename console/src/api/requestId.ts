/** A name for a request that no other one has. `crypto.randomUUID` is missing where the page comes over plain HTTP. */
export const freshRequestId = (): string =>
  Array.from(crypto.getRandomValues(new Uint8Array(16)), (byte) => byte.toString(16).padStart(2, "0")).join("")
