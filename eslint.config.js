import Path from "node:path"
import { fileURLToPath } from "node:url"
import TypeScript from "typescript-eslint"

const source = Path.join(Path.dirname(fileURLToPath(import.meta.url)), "src")

/** What each folder of src may import: other folders and files there, and packages (`files`: one file, more). Its own files it always may. */
const directions = {
  domain: {
    inside: [],
    packages: /^effect\//,
    files: { "domain/CouponCode.ts": /^node:crypto$/ },
    because: "the domain imports effect alone"
  },
  security: {
    inside: ["domain", "AppConfig.ts"],
    packages: /^(effect\/|jose$|node:)/,
    because: "who may do what depends on no store, no transport and no use case"
  },
  issuance: {
    inside: ["domain", "security", "AppConfig.ts", "RootMessage.ts"],
    packages: /^(effect\/|node:crypto$)/,
    because: "the use cases import the domain and effect, and know no store and no transport: stores implement their ports"
  },
  redis: {
    inside: ["domain", "issuance", "AppConfig.ts", "StoreUrl.ts"],
    packages: /^(effect\/|ioredis$|node:)/,
    because: "the Redis adapter imports the ports, the domain and ioredis"
  },
  sql: {
    inside: ["domain", "issuance", "security", "AppConfig.ts", "RootMessage.ts", "StoreUrl.ts"],
    packages: /^(effect\/|@effect\/(sql|sql-mysql2|sql-libsql|experimental)(\/|$)|mysql2(\/|$)|@libsql\/client$|node:)/,
    because: "the SQL adapters import the ports, the domain and database drivers"
  },
  memory: {
    inside: ["domain", "issuance", "AppConfig.ts"],
    packages: /^(effect\/|node:)/,
    because: "the in-process adapters import the ports and the domain"
  },
  telemetry: {
    inside: ["domain", "issuance", "AppConfig.ts", "RootMessage.ts", "Version.ts"],
    packages: /^(effect\/|@effect\/(opentelemetry|platform)\/|node:)/,
    because: "telemetry watches the ports and exports what it sees; it knows no store and no transport"
  },
  transport: {
    inside: ["domain", "issuance", "security", "AppConfig.ts", "RootMessage.ts"],
    packages: /^(effect\/|@effect\/platform(-node)?\/|@bufbuild\/protobuf(\/|$)|@connectrpc\/connect(-node)?(\/|$)|node:)/,
    because: "the transport imports the use cases and the domain, never a store"
  },
  operator: {
    inside: ["domain", "issuance", "security", "transport", "AppConfig.ts", "AuditReport.ts", "Setting.ts", "Version.ts"],
    packages: /^(effect\/|@effect\/(rpc|platform)\/|node:)/,
    because: "the operator plane works with the ports, whatever adapters are behind them"
  },
  cli: {
    inside: ["operator", "security", "transport", "AppConfig.ts", "SourceFrames.ts", "Version.ts"],
    packages: /^(effect\/|@effect\/(cli|rpc|platform|platform-node)\/|@bufbuild\/protobuf(\/|$)|@connectrpc\/connect(-node)?(\/|$)|node:)/,
    because: "the command is a client: it speaks to the service over the wire alone"
  }
}
const adapters = ["redis", "sql", "memory"]

/** Which way imports may point; see `directions`. Type imports, re-exports and `import()` count like any other. */
const importDirection = {
  meta: { type: "problem", schema: [] },
  create(context) {
    const file = Path.relative(source, context.filename).split(Path.sep).join("/")
    if (file.startsWith("..")) return {}
    const folder = file.includes("/") ? file.slice(0, file.indexOf("/")) : undefined
    const rule = directions[folder]

    const problem = (specifier) => {
      if (specifier === "effect" || /^@effect\/[^/]+$/.test(specifier)) {
        return `import the module (${specifier}/Name), not the whole of ${specifier}: it is loaded at every start`
      }
      if (!specifier.startsWith(".")) {
        const permitted = rule === undefined || rule.packages.test(specifier) || rule.files?.[file]?.test(specifier)
        return permitted ? undefined : `${folder}/ may not import ${specifier}: ${rule.because}`
      }
      const target = Path.relative(source, Path.resolve(Path.dirname(context.filename), specifier)).split(Path.sep).join("/")
      if (target.startsWith("../")) return `src may not import ${target.replace(/^(\.\.\/)+/, "")}: it ships alone`
      const inside = target.includes("/") ? target.slice(0, target.indexOf("/")) : target
      if (inside === folder) return undefined
      if (rule !== undefined) {
        return rule.inside.includes(inside) ? undefined : `${folder}/ may not import ${target}: ${rule.because}`
      }
      return adapters.includes(inside) && file !== "Backend.ts"
        ? `${file} may not import ${target}: only src/Backend.ts chooses adapters`
        : undefined
    }
    const check = (node) => {
      const specifier = node.source
      if (specifier === null || specifier === undefined) return
      if (specifier.type !== "Literal") {
        context.report({ node, message: "import() of a computed name escapes the import directions" })
        return
      }
      const message = problem(specifier.value)
      if (message !== undefined) context.report({ node: specifier, message })
    }
    return {
      ImportDeclaration: check,
      ExportNamedDeclaration: check,
      ExportAllDeclaration: check,
      ImportExpression: check,
      TSImportType: (node) => check({ source: node.source ?? node.argument?.literal })
    }
  }
}

export default TypeScript.config(
  { ignores: ["node_modules/", "src/transport/gen/", "data/", ".cache/", "coverage/", "dist/"] },
  { linterOptions: { reportUnusedDisableDirectives: "error" } },
  {
    files: ["**/*.ts", "**/*.mts", "**/*.js", "**/*.mjs"],
    // Without type information, which would take ten times as long: `npm run typecheck` has it.
    extends: [TypeScript.configs.recommended],
    rules: {
      // tsc reports these, and knows about types.
      "@typescript-eslint/no-unused-vars": "off",
      // `class X extends Context.Tag("x")<X, {…}>() {}` and Effect's own idioms.
      "@typescript-eslint/no-empty-object-type": "off",
      "@typescript-eslint/consistent-type-imports": ["error", { fixStyle: "separate-type-imports", disallowTypeAnnotations: false }],
      "@typescript-eslint/array-type": ["error", { default: "generic" }],
      eqeqeq: ["error", "smart"],
      "no-var": "error",
      "prefer-const": "error",
      "no-debugger": "error",
      semi: ["error", "never"],
      quotes: ["error", "double", { avoidEscape: true, allowTemplateLiterals: true }],
      "comma-dangle": ["error", "never"],
      "no-tabs": "error",
      "no-trailing-spaces": "error",
      "eol-last": "error",
      // 130 is the aim; a line somewhat longer that reads better stays.
      "max-len": ["error", { code: 165, ignoreUrls: true }]
    }
  },
  {
    files: ["src/**/*.ts"],
    plugins: { coupon: { rules: { "import-direction": importDirection } } },
    rules: { "coupon/import-direction": "error" }
  },
  {
    files: ["src/**/*.ts"],
    ignores: ["src/AppConfig.ts"],
    rules: {
      "no-restricted-syntax": [
        "error",
        {
          selector: [
            "MemberExpression[object.name='process'][property.name='env']",
            "MemberExpression[object.name='process'][property.value='env']",
            "VariableDeclarator[init.name='process'] > ObjectPattern > Property[key.name='env']"
          ].join(", "),
          message: "only src/AppConfig.ts reads the environment: add a setting there"
        },
        {
          selector: "ImportDeclaration[source.value=/^(node:)?process$/]",
          message: "use the global `process`, whose `env` only src/AppConfig.ts reads"
        },
        {
          selector: "MemberExpression[object.name='process'][property.name='memoryUsage']",
          message: "it throws where the process is out of file descriptors, in a timer too: read Metrics.residentMemory"
        }
      ]
    }
  },
  {
    files: ["test/**/*.ts"],
    rules: {
      "no-restricted-syntax": [
        "error",
        {
          selector: "CallExpression[callee.property.name='only'][callee.object.name=/^(it|test|describe)$/]",
          message: "a test that runs alone hides the others"
        }
      ]
    }
  }
)
