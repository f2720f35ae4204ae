/**
 * `work` for a timer or a listener, from which a throw would end the process: what it throws goes to `report`, which
 * must not throw. Not for answers to requests: after a throw those still have to be ended.
 */
export const guarded = (report: (defect: unknown) => void, work: () => void): () => void => () => {
  try {
    work()
  } catch (defect) {
    report(defect)
  }
}
