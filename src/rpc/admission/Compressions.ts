import { compressionBrotli, compressionGzip } from "@connectrpc/connect-node"
import type { Compression } from "@connectrpc/connect/protocol"
import { promisify } from "node:util"
import { brotliCompress, constants, gzip } from "node:zlib"

const [compressByBrotli, compressByGzip] = [promisify(brotliCompress), promisify(gzip)]

/**
 * The compressions that clients may choose, at their cheapest levels. By default Brotli takes a hundred times as long,
 * and it is the reader's headers that choose it.
 */
export const compressions: ReadonlyArray<Compression> = [
  { ...compressionGzip, compress: (bytes) => compressByGzip(bytes, { level: constants.Z_BEST_SPEED }) },
  {
    ...compressionBrotli,
    compress: (bytes) =>
      compressByBrotli(bytes, { params: { [constants.BROTLI_PARAM_QUALITY]: constants.BROTLI_MIN_QUALITY } })
  }
]
