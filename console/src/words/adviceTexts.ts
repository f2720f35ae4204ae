import type { AdviceId } from "$contract/Advice.ts"
import type { Advice } from "$contract/operator/Info.ts"
import * as m from "../paraglide/messages.js"

type Values = (typeof Advice.Type)["values"]

/** The texts of all advice: one without them does not compile. */
const texts: {
  readonly [Id in AdviceId]: { readonly what: (values: Values) => string; readonly advice: () => string }
} = {
  open: { what: m.advice_open, advice: m.advice_open_do },
  ledger_clock: { what: m.advice_ledger_clock, advice: m.advice_ledger_clock_do },
  gate_clock: { what: m.advice_gate_clock, advice: m.advice_gate_clock_do },
  ledger_session: { what: m.advice_ledger_session, advice: m.advice_ledger_session_do },
  log_level: { what: m.advice_log_level, advice: m.advice_log_level_do },
  batch_size: { what: m.advice_batch_size, advice: m.advice_batch_size_do },
  pool_size: { what: m.advice_pool_size, advice: m.advice_pool_size_do },
  in_flight: { what: m.advice_in_flight, advice: m.advice_in_flight_do },
  connections: { what: m.advice_connections, advice: m.advice_connections_do },
  relay_interval: { what: m.advice_relay_interval, advice: m.advice_relay_interval_do },
  audit_interval: { what: m.advice_audit_interval, advice: m.advice_audit_interval_do },
  reservation_timeout: { what: m.advice_reservation_timeout, advice: m.advice_reservation_timeout_do },
  hydrate_page: { what: m.advice_hydrate_page, advice: m.advice_hydrate_page_do },
  shutdown_timeout: { what: m.advice_shutdown_timeout, advice: m.advice_shutdown_timeout_do },
  host: { what: m.advice_host, advice: m.advice_host_do },
  flush_log: { what: m.advice_flush_log, advice: m.advice_flush_log_do },
  sync_binlog: { what: m.advice_sync_binlog, advice: m.advice_sync_binlog_do },
  doublewrite: { what: m.advice_doublewrite, advice: m.advice_doublewrite_do },
  log_writer: { what: m.advice_log_writer, advice: m.advice_log_writer_do },
  webhooks_off: { what: m.advice_webhooks_off, advice: m.advice_webhooks_off_do },
  eviction: { what: m.advice_eviction, advice: m.advice_eviction_do }
}

/** What is advised against, and what to do, in the page's language; in English if the instance is newer. */
export const adviceText = ({ hint, id, text, values }: typeof Advice.Type): {
  readonly what: string
  readonly advice: string
} => {
  const known = Object.hasOwn(texts, id) ? texts[id as AdviceId] : undefined
  return known === undefined ? { what: text, advice: hint } : { what: known.what(values), advice: known.advice() }
}
