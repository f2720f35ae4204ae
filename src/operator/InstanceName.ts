import * as Os from "node:os"

/** The name of this instance in its deployment: host name (in a container its id) and process id. */
export const instanceName = `${Os.hostname()}:${process.pid}`

/** When this process started, epoch milliseconds. */
export const startedAt = Math.round(performance.timeOrigin)
