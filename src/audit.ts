// The former name of this program: `npm run audit` and dist/app/audit.js go on to work.
import "./verify.ts"
