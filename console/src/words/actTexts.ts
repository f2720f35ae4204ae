import * as m from "../paraglide/messages.js"

const texts: Readonly<Record<string, () => string>> = {
  "campaign.create": m.audit_act_campaign_create,
  "campaign.update": m.audit_act_campaign_update,
  "campaign.pause": m.audit_act_campaign_pause,
  "campaign.resume": m.audit_act_campaign_resume,
  "campaign.end": m.audit_act_campaign_end,
  "campaign.return": m.audit_act_campaign_return,
  "gate.rebuild": m.audit_act_gate_rebuild,
  "key.create": m.audit_act_key_create,
  "key.revoke": m.audit_act_key_revoke,
  "key.limit": m.audit_act_key_limit,
  "key.rotate": m.audit_act_key_rotate,
  "session.start": m.audit_act_session_start,
  "session.end": m.audit_act_session_end,
  "coupon.revoke": m.audit_act_coupon_revoke,
  "coupon.erase": m.audit_act_coupon_erase,
  "webhook.create": m.audit_act_webhook_create,
  "webhook.update": m.audit_act_webhook_update,
  "webhook.delete": m.audit_act_webhook_delete,
  "webhook.test": m.audit_act_webhook_test,
  "webhook.disable": m.audit_act_webhook_disable,
  "webhook.rotate_secret": m.audit_act_webhook_rotate,
  "webhook.replay": m.audit_act_webhook_replay,
  "webhook.retry_parked": m.audit_act_webhook_retry,
  "webhook.skip": m.audit_act_webhook_skip,
  "codes.import.start": m.audit_act_codes_start,
  "codes.import.finish": m.audit_act_codes_finish,
  "codes.import.abort": m.audit_act_codes_abort,
  "backup.create": m.audit_act_backup,
  "act.refuse": m.audit_act_refused
}

/** The acts that this version knows, by the names that the audit log has. */
export const knownActs: ReadonlyArray<string> = Object.keys(texts)

/** What an act of the audit log was, in words; an act of a later version by its own name. */
export const actText = (action: string): string => texts[action]?.() ?? action
