# The service: node:24-slim and one bundle. `docker compose up --build` builds it; so does `docker build -t coupon .`
# Embedded, with a volume for its ledger: docker run -p 127.0.0.1:8080:8080 -v coupon:/data -e ADMIN_API_KEY="$(openssl rand -base64 32)" coupon
# It refuses to start without an ADMIN key, and before PUBLIC_ACCESS says who may claim. To try it out with administration
# open to all who reach the port: -e NODE_ENV=development -e OPEN_ADMINISTRATION=yes.
# A release pins the base by its digest: --build-arg NODE_IMAGE=node:24-slim@sha256:…
ARG NODE_IMAGE=node:24-slim
FROM ${NODE_IMAGE} AS build
WORKDIR /app
COPY package.json package-lock.json .npmrc ./
# By the checksums of package-lock.json, and without install scripts. Development packages build the console, and none of
# them is copied below. The image has a Node of its own.
RUN npm ci --include=dev --ignore-scripts --no-audit --no-fund
COPY scripts/build.mjs scripts/console.mjs scripts/entry.mjs scripts/sbom.mjs scripts/
COPY src src
RUN node scripts/build.mjs
COPY tsconfig.json ./
COPY console console
RUN node scripts/console.mjs --force && node scripts/sbom.mjs --console >sbom.cdx.json
COPY migrations migrations
# What runs: the bundle, its migrations, and the only dependency that is not in it, because it is native.
RUN mkdir -p app/.cache app/node_modules && cp -r dist migrations package.json sbom.cdx.json app/ && cd node_modules \
 && cp -r --parents libsql @libsql/linux-* @neon-rs/load detect-libc ../app/node_modules/
# Compiles it once, which takes 0.1 s off each start. As the user that will run it: Node keeps a cache apart for each.
RUN chown node:node app/.cache
USER node
RUN cd app && export NODE_COMPILE_CACHE=/app/app/.cache/compile && node dist/app/main.js --help >/dev/null && node dist/app/cli.js --help >/dev/null

FROM ${NODE_IMAGE}
WORKDIR /app
ENV NODE_ENV=production NODE_COMPILE_CACHE=/app/.cache/compile HOST=0.0.0.0 PORT=8080 DATA_DIR=/data LOG_FORMAT=json
# All of it belongs to root and is only read at run time; /data is for the embedded ledger alone.
COPY --from=build --chown=root:root /app/app /app
COPY deploy/entrypoint deploy/healthcheck deploy/coupon /usr/local/bin/
RUN mkdir /data && chown node:node /data
USER node
EXPOSE 8080
STOPSIGNAL SIGTERM
# Alive, not ready: Swarm replaces what is not healthy, and no new container brings a lost store back.
HEALTHCHECK --interval=10s --timeout=5s --start-period=30s CMD ["healthcheck", "/livez"]
ENTRYPOINT ["entrypoint"]
# A small heap whose young generation keeps to itself what requests leave behind: docs/internals/decisions.md, 24.
CMD ["node", "--max-semi-space-size=16", "--heap-growing-percent=100", "--no-allocation-site-pretenuring", "dist/app/main.js"]
