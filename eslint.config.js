import Path from "node:path"
import { fileURLToPath } from "node:url"
import Svelte from "eslint-plugin-svelte"
import TypeScript from "typescript-eslint"

const source = Path.join(Path.dirname(fileURLToPath(import.meta.url)), "src")

/**
 * What each folder of src may import: other folders and files there, and packages (`files`: one file, more). Its own
 * files it always may, except for `dialects`: folders in it that only their own files import.
 */
const directions = {
  base: {
    inside: [],
    packages: /^(effect\/|get-east-asian-width$)/,
    because: "every room imports it, so it imports none"
  },
  domain: {
    inside: ["base"],
    packages: /^effect\//,
    files: {
      "domain/codes/RandomBytes.ts": /^node:crypto$/,
      "domain/codes/Permutation.ts": /^node:crypto$/,
      "domain/ChangeRecord.ts": /^node:crypto$/
    },
    because: "the domain imports effect alone"
  },
  config: {
    inside: ["base", "domain"],
    packages: /^(effect\/|node:)/,
    because: "settings depend on nothing that is set by them"
  },
  contract: {
    inside: ["base", "domain"],
    packages: /^(effect\/|@effect\/(rpc|platform)\/|@bufbuild\/protobuf(\/|$)|@connectrpc\/connect(\/|$))/,
    files: { "contract/webhooks/StandardWebhooks.ts": /^node:crypto$/ },
    because: "the contract is what server and clients share: it imports neither"
  },
  client: {
    inside: ["base", "domain", "contract"],
    packages: /^(effect\/|@effect\/(rpc|platform)\/|@bufbuild\/protobuf(\/|$)|@connectrpc\/connect(-web)?(\/|$))/,
    because: "clients know the contract alone, so that the command, the console and other programs can build on them"
  },
  ports: {
    inside: ["base", "domain"],
    packages: /^effect\//,
    because: "a port says what the use cases need, in terms of the domain; adapters implement it"
  },
  metrics: {
    inside: ["base", "domain", "config", "contract"],
    packages: /^(effect\/|node:)/,
    because: "metrics are counted everywhere, so they import nothing that counts"
  },
  security: {
    inside: ["base", "domain", "config", "metrics"],
    packages: /^(effect\/|jose$|node:)/,
    because: "who may do what depends on no store, no transport and no use case"
  },
  webhooks: {
    inside: ["base", "domain", "config", "contract", "ports", "metrics", "expiry"],
    packages: /^(effect\/|undici$|ipaddr\.js$|node:)/,
    because: "webhooks follow the event log over the ports; they know no store, and no claim waits for them"
  },
  expiry: {
    inside: ["base", "domain", "ports"],
    packages: /^effect\//,
    because: "when coupons expire follows from the ports alone"
  },
  agents: {
    inside: ["base", "domain", "config", "ports", "metrics", "webhooks"],
    packages: /^(effect\/|node:crypto$)/,
    because: "agents work over the ports, below the use cases that wake them"
  },
  claim: {
    inside: ["base", "domain", "config", "ports", "metrics", "expiry", "agents"],
    packages: /^(effect\/|node:crypto$)/,
    because: "a claim runs over the ports; it knows no store and no transport"
  },
  campaigns: {
    inside: ["base", "domain", "config", "ports", "metrics", "expiry", "agents", "claim"],
    packages: /^(effect\/|node:crypto$)/,
    because: "the use cases of campaigns run over the ports; they know no store and no transport"
  },
  redis: {
    inside: ["base", "domain", "config", "ports", "metrics"],
    packages: /^(effect\/|ioredis$|node:)/,
    because: "the Redis adapter imports the ports, the domain and ioredis"
  },
  sql: {
    inside: ["base", "domain", "config", "ports", "metrics", "security"],
    packages:
      /^(effect\/|@effect\/(sql(-mysql2|-libsql)?|experimental)(\/|$)|(mysql2|@libsql\/client|libsql)(\/|$)|node:)/,
    because: "the SQL adapters import the ports, the domain and database drivers",
    dialects: ["mysql", "libsql"]
  },
  memory: {
    inside: ["base", "domain", "config", "ports"],
    packages: /^(effect\/|node:)/,
    because: "the in-process adapters import the ports and the domain"
  },
  telemetry: {
    inside: ["base", "domain", "config", "ports", "metrics", "agents", "claim", "SourceFrames.ts"],
    packages: /^(effect\/|@effect\/(opentelemetry|platform)\/|node:)/,
    because: "telemetry watches the ports and exports what it sees; it knows no store and no transport"
  },
  rpc: {
    inside: [
      "base", "domain", "config", "contract", "ports", "metrics", "security", "claim", "campaigns", "webhooks"
    ],
    packages:
      /^(effect\/|@effect\/platform(-node)?\/|@bufbuild\/protobuf(\/|$)|@connectrpc\/connect(-node)?(\/|$)|node:)/,
    because: "calls reach the use cases, never a store, and know nothing of sockets"
  },
  http: {
    inside: ["base", "domain", "config", "contract", "metrics", "security", "rpc"],
    packages:
      /^(effect\/|@effect\/platform(-node)?\/|@bufbuild\/protobuf(\/|$)|@connectrpc\/connect(-node)?(\/|$)|node:)/,
    because: "sockets and mounts carry calls; they know no use case and no store"
  },
  console: {
    inside: ["base", "domain", "config", "metrics", "security", "rpc", "http"],
    packages: /^(effect\/|@connectrpc\/connect$|node:)/,
    because: "the console's pages and sessions stand on the transport; they know no use case and no store"
  },
  operator: {
    inside: [
      "base", "domain", "config", "contract", "ports", "metrics", "security", "agents", "rpc", "http", "webhooks"
    ],
    packages: /^(effect\/|@effect\/(rpc|platform)\/|@connectrpc\/connect$|node:)/,
    because: "the operator plane works with the ports, whatever adapters are behind them"
  },
  package: {
    inside: ["base", "domain", "contract", "client", "InProcess.ts"],
    packages: /^(effect\/|@bufbuild\/protobuf(\/|$)|@connectrpc\/connect(-web)?(\/|$))/,
    because: "other programs install it, with no more than its peers"
  },
  cli: {
    inside: ["base", "domain", "contract", "client", "config", "SourceFrames.ts"],
    packages:
      /^(effect\/|@effect\/(cli|platform|platform-node)\/|@bufbuild\/protobuf(\/|$)|csv-stringify\/sync$|yaml$|node:)/,
    because: "the command is a client: it reaches the service by src/client/ alone"
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
      const target = Path.relative(source, Path.resolve(Path.dirname(context.filename), specifier)).split(Path.sep)
        .join("/")
      if (target.startsWith("../")) return `src may not import ${target.replace(/^(\.\.\/)+/, "")}: it ships alone`
      const inside = target.includes("/") ? target.slice(0, target.indexOf("/")) : target
      if (inside === folder) {
        const dialectOf = (path) => rule?.dialects?.find((dialect) => path.startsWith(`${folder}/${dialect}/`))
        const dialect = dialectOf(target)
        return dialect === undefined || dialect === dialectOf(file)
          ? undefined
          : `${file} may not import ${target}: what is shared knows no dialect, and no dialect knows another`
      }
      if (rule !== undefined) {
        return rule.inside.includes(inside) ? undefined : `${folder}/ may not import ${target}: ${rule.because}`
      }
      return adapters.includes(inside) && !/^(Embedded)?Backend\.ts$/.test(file)
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
  {
    ignores: [
      "node_modules/", "src/contract/gen/", "console/src/paraglide/", "data/", ".cache/", "coverage/", "dist/"
    ]
  },
  { linterOptions: { reportUnusedDisableDirectives: "error" } },
  {
    files: ["**/*.ts", "**/*.mts", "**/*.js", "**/*.mjs", "**/*.svelte"],
    // Without type information, which would take ten times as long: `npm run typecheck` has it.
    extends: [TypeScript.configs.recommended],
    rules: {
      // tsc reports these, and knows about types.
      "@typescript-eslint/no-unused-vars": "off",
      // `class X extends Context.Tag("x")<X, {…}>() {}` and Effect's own idioms.
      "@typescript-eslint/no-empty-object-type": "off",
      "@typescript-eslint/consistent-type-imports": ["error", {
        fixStyle: "separate-type-imports",
        disallowTypeAnnotations: false
      }],
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
      "max-len": ["error", { code: 120, ignoreUrls: true }]
    }
  },
  // The console. Its rules about TypeScript are those above.
  ...Svelte.configs["flat/recommended"],
  {
    files: ["console/**/*.svelte", "console/**/*.svelte.ts"],
    languageOptions: { parserOptions: { parser: TypeScript.parser } },
    rules: {
      "prefer-const": "off",
      "svelte/prefer-const": ["error", { destructuring: "all" }],
      "no-undef": "off",
      // For links of SvelteKit, which this is not.
      "svelte/no-navigation-without-resolve": "off",
      "svelte/no-at-html-tags": "error",
      "svelte/block-lang": ["error", { script: "ts" }],
      // State is replaced as a whole.
      "svelte/prefer-svelte-reactivity": "off",
      "no-restricted-syntax": ["error", {
        selector: "SvelteAttribute[key.name='style']",
        message: "the page's policy takes no style attributes: use a class, or style:property"
      }]
    }
  },
  {
    files: ["src/**/*.ts"],
    plugins: { coupon: { rules: { "import-direction": importDirection } } },
    rules: { "coupon/import-direction": "error" }
  },
  {
    files: ["src/**/*.ts"],
    ignores: ["src/config/AppConfig.ts"],
    rules: {
      "no-restricted-syntax": [
        "error",
        {
          selector: [
            "MemberExpression[object.name='process'][property.name='env']",
            "MemberExpression[object.name='process'][property.value='env']",
            "VariableDeclarator[init.name='process'] > ObjectPattern > Property[key.name='env']"
          ].join(", "),
          message: "only src/config/AppConfig.ts reads the environment: add a setting there"
        },
        {
          selector: "ImportDeclaration[source.value=/^(node:)?process$/]",
          message: "use the global `process`, whose `env` only src/config/AppConfig.ts reads"
        },
        {
          selector: "MemberExpression[object.name='process'][property.name='memoryUsage']",
          message:
            "it throws where the process is out of file descriptors, in a timer too: read ProcessMetrics.residentMemory"
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
