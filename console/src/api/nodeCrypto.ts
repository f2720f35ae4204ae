/** What of `node:crypto` the shared code uses (`src/domain/codes/RandomBytes.ts`), by the browser's own generator. */
export const randomFillSync = <A extends Uint8Array<ArrayBuffer>>(bytes: A): A => crypto.getRandomValues(bytes)

export const randomBytes = (size: number): Uint8Array => randomFillSync(new Uint8Array(size))
