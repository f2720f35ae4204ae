import type { Key } from "$contract/operator/Keys.ts"

/** What each dialog about a key is given. */
export interface KeyDialogProps {
  readonly key: typeof Key.Type
  readonly onClose: () => void
}
