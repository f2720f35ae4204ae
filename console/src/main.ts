/** The console before its pages are there: who is signed in, and at which instance. */
const show = async (): Promise<void> => {
  const reply = await fetch("/console/session", { headers: { "x-coupon-console": "1" } })
  const app = document.getElementById("app")
  if (app !== null) app.textContent = JSON.stringify(await reply.json())
}

void show()
