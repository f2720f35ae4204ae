import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import * as Option from "effect/Option"
import { readFileSync } from "node:fs"
import { AppConfig } from "../../config/AppConfig.ts"
import * as Acceptors from "./Acceptors.ts"

/**
 * File descriptors that the process needs whatever its clients do: 30 of Node, 6 of the embedded ledger, the log, and
 * some for what is opened now and then (DNS, the exporter, an issuer's keys, a store once more).
 */
const OWN_FILES = 96

/** With MySQL and Redis: the pool twice, for connections that are being replaced, and nodes, replicas, sentinels. */
const filesOfStores = (mysqlPoolSize: number): number => 2 * mysqlPoolSize + 32

/** The server of METRICS_PORT lets in 32. */
const METRICS_FILES = 34

/** ADMIN_PORT lets in 64, with a few that are being closed. */
const ADMIN_FILES = 72

/** What clients get at least, where the process itself needs nearly all. */
const LEAST_SHARE = 1 / 4

interface Report {
  readonly userLimits?: { readonly open_files?: { readonly soft?: unknown } }
}

/** File descriptors that this process may have; `undefined`: unknown, or no limit. Node has raised soft to hard. */
export const fileLimit = (): number | undefined => {
  try {
    if (process.platform === "linux") {
      const [, soft] = /^Max open files\s+(\d+)/m.exec(readFileSync("/proc/self/limits", "utf8")) ?? []
      return soft === undefined ? undefined : Number(soft)
    }
    // Otherwise a report asks DNS for names. Missing in @types/node.
    Object.assign(process.report, { excludeNetwork: true })
    const report = process.report.getReport() as Report
    const soft = Number(report.userLimits?.open_files?.soft)
    return Number.isSafeInteger(soft) ? soft : undefined
  } catch {
    return undefined
  }
}

/** File descriptors that the process needs besides those of client connections. */
export const ownFiles = (config: AppConfig["Type"]): number =>
  OWN_FILES +
  Acceptors.countFor(config.maxConnections) +
  (config.embedded ? 0 : filesOfStores(config.mysqlPoolSize)) +
  (Option.isSome(config.metricsPort) ? METRICS_FILES : 0) +
  (Option.isSome(config.adminPort) ? ADMIN_FILES : 0)

/** MAX_CONNECTIONS, or less where the process may have only `limit` file descriptors. */
export const connectionsWithin = (limit: number, config: AppConfig["Type"]): number =>
  Math.min(config.maxConnections, Math.max(1, Math.floor(limit * LEAST_SHARE), limit - ownFiles(config)))

/**
 * The settings, with MAX_CONNECTIONS lowered to what the limit of open files allows. Beyond it connections are refused
 * one by one; out of file descriptors, the stores could not be reached again either.
 */
export const layer: Layer.Layer<AppConfig, never, AppConfig> = Layer.effect(AppConfig, Effect.gen(function*() {
  const config = yield* AppConfig
  const limit = fileLimit()
  if (limit === undefined) return config
  const maxConnections = connectionsWithin(limit, config)
  if (maxConnections === config.maxConnections) return config
  const own = ownFiles(config)
  yield* Effect.logWarning(
    `MAX_CONNECTIONS is lowered from ${config.maxConnections} to ${maxConnections}: this process may open ${limit} ` +
      `files and needs ${own} for itself; to keep it, raise the limit (ulimit -n, LimitNOFILE, ulimits.nofile) ` +
      `to ${config.maxConnections + own}`
  )
  return { ...config, maxConnections }
}))
