import * as Os from "node:os"

/** Tells the instances of a deployment apart: host name (the container's id, in one) and process id. */
export const instanceName = `${Os.hostname()}:${process.pid}`

/** When this process started, epoch milliseconds. */
export const startedAt = Math.round(performance.timeOrigin)
