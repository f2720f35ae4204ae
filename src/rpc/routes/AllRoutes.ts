import * as CouponRoutes from "../CouponRoutes.ts"
import type { Route } from "../Route.ts"
import * as WebhookRoutes from "./WebhookRoutes.ts"

/** Every RPC of the public contract. */
export const routes: ReadonlyArray<Route> = [...CouponRoutes.routes, ...WebhookRoutes.routes]
