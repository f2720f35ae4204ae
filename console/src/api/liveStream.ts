import { type Live, type LiveRequest, PATH } from "$contract/Live.ts"
import { Failure } from "./Failure.ts"
import { refusalOf } from "./refusal.ts"
import { consoleHeader } from "./transport.ts"

/** The failure of an answer that is no stream. */
const refusal = async (response: Response): Promise<Failure> => {
  const { message } = await response.json().catch(() => ({})) as { readonly message?: string }
  return refusalOf(response, message)
}

/** Receives the state of the service, a line a second, until the stream ends. Needs no client but fetch. */
export const receiveLive = async (
  request: LiveRequest,
  onLine: (line: Live) => void,
  signal: AbortSignal
): Promise<void> => {
  let response: Response
  try {
    response = await fetch(PATH, {
      method: "POST",
      headers: { ...consoleHeader, "content-type": "application/json" },
      body: JSON.stringify(request),
      signal
    })
  } catch {
    throw new Failure(signal.aborted ? "CANCELED" : "UNREACHABLE")
  }
  if (!response.ok || response.body === null) throw await refusal(response)
  const reader = response.body.pipeThrough(new TextDecoderStream()).getReader()
  let rest = ""
  try {
    for (;;) {
      const { done, value } = await reader.read()
      if (done) return
      const lines = (rest + value).split("\n")
      rest = lines.pop()!
      for (const line of lines) if (line !== "") onLine(JSON.parse(line) as Live)
    }
  } catch (cause) {
    if (cause instanceof SyntaxError) throw new Failure("UNEXPECTED_ANSWER", { reason: cause.message })
    throw new Failure(signal.aborted ? "CANCELED" : "UNREACHABLE")
  }
}
