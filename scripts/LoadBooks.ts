// What a load test's campaign has issued, by the API, and whether that is what clients were answered.

const LOOPBACK = /^(?:localhost|127\.\d+\.\d+\.\d+|\[::1\])$/
const PRIVATE = /^(?:10\.|192\.168\.|172\.(?:1[6-9]|2\d|3[01])\.)\d+\.\d+/
const TEST = /(?:^|[.-])(?:staging|stage|stg|test|testing|dev|qa|load|perf|sandbox|local|internal)\d*(?:[.-]|$)/
const PRODUCTION = /(?:^|[.-])(?:prod|production|live|www)\d*(?:[.-]|$)/

/** Whether a load test of this host can be meant: the machine itself, a private address, or a name that says so. */
export const isPlainlyTest = (hostname: string): boolean =>
  LOOPBACK.test(hostname) || !PRODUCTION.test(hostname) && (PRIVATE.test(hostname) || TEST.test(hostname))

interface Coupon {
  readonly code: string
  readonly number: number
  readonly userId: string
}
interface Answer {
  readonly message?: string
  readonly currentCoupon: string
  readonly couponLimit: string
  readonly coupons: ReadonlyArray<Coupon>
  readonly nextPageToken: string
}

const call = async (base: string, key: string | undefined, method: string, message: object): Promise<Answer> => {
  const response = await fetch(`${base}/coupon.v1.CouponService/${method}`, {
    method: "POST",
    headers: { "content-type": "application/json", ...key === undefined ? {} : { authorization: `Bearer ${key}` } },
    body: JSON.stringify(message)
  })
  const answer = await response.json() as Answer
  if (!response.ok) throw new Error(`${method}: ${response.status} ${answer.message}`)
  return answer
}

export interface Books {
  readonly issued: number
  readonly limit: number
  readonly listed: number
  readonly inOrder: boolean
  readonly users: number
  readonly codes: number
}

/** The campaign's counter, and every coupon that it lists: their numbers, and how many users and codes they have. */
export const readBooks = async (base: string, key: string | undefined, campaignId: number): Promise<Books> => {
  const campaign = await call(base, key, "GetCampaign", { campaignId, pageSize: 1 })
  const users = new Set<string>()
  const codes = new Set<string>()
  let listed = 0
  let inOrder = true
  for (let pageToken = "";;) {
    const page: Answer = await call(base, key, "ListCoupons", { campaignId, pageSize: 1000, pageToken })
    for (const { code, number, userId } of page.coupons) {
      listed++
      inOrder &&= number === listed
      users.add(userId)
      codes.add(code)
    }
    pageToken = page.nextPageToken
    if (pageToken === "") break
  }
  const [issued, limit] = [Number(campaign.currentCoupon), Number(campaign.couponLimit)]
  return { issued, limit, listed, inOrder, users: users.size, codes: codes.size }
}

/** What is wrong with them. A claim without an answer may have been issued. */
export const flawsOf = (
  { codes, inOrder, issued, limit, listed, users }: Books,
  { answered, inDoubt }: { readonly answered: number; readonly inDoubt: number }
): ReadonlyArray<string> => [
  ...issued > limit ? [`${issued} coupons were issued, and the limit is ${limit}`] : [],
  ...listed !== issued ? [`the campaign says ${issued} coupons and lists ${listed}`] : [],
  ...inOrder ? [] : ["the numbers of the coupons are not 1, 2, 3, …"],
  ...users !== listed ? [`${listed} coupons belong to ${users} users`] : [],
  ...codes !== listed ? [`${listed} coupons have ${codes} different codes`] : [],
  ...issued < answered || issued > answered + inDoubt
    ? [`${answered} claims were answered OK, and ${issued} coupons were issued: these must be the same`]
    : []
]

/** A test leaves no campaign open. */
export const endCampaign = (base: string, key: string | undefined, campaignId: number): Promise<unknown> =>
  call(base, key, "EndCampaign", { campaignId })
