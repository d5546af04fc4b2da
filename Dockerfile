# One image for every `sluice` command, such as docker run IMAGE migrate; the default is a worker.
# docs/container.md explains how to run it.

FROM node:24-bookworm-slim AS build
WORKDIR /build
# Dependencies first, so that a change of the code leaves them in the builder's cache.
COPY package.json package-lock.json .npmrc ./
COPY scripts/lib.sh scripts/setup.sh scripts/build.sh scripts/build-page.ts scripts/runbook-page.ts scripts/
RUN bash scripts/setup.sh sluice
COPY tsconfig.json tsconfig.build.json ./
COPY docs/operating.md docs/
COPY src src
RUN bash scripts/build.sh

FROM node:24-bookworm-slim AS dependencies
WORKDIR /build
COPY package.json package-lock.json .npmrc ./
RUN npm ci --omit=dev --ignore-scripts
# The bill of materials. (npm sbom --omit=dev also omits packages that a development tool shares.)
RUN npm pkg delete devDependencies && npm sbom --sbom-format cyclonedx >sbom.cdx.json

# The example service for docker-compose, built only on request: docker build --target example-shop.
FROM node:24-bookworm-slim AS example-shop
WORKDIR /app
COPY --from=dependencies /build/node_modules node_modules
COPY --from=build /build/dist dist
COPY package.json ./
WORKDIR /app/examples/shop
COPY examples/shop/package.json examples/shop/package-lock.json examples/shop/.npmrc ./
RUN npm ci --omit=dev --ignore-scripts
COPY examples/shop/sluice.config.json ./
COPY examples/shop/src src
ENV NODE_ENV=production HOST=0.0.0.0
USER node
EXPOSE 3000
STOPSIGNAL SIGTERM
HEALTHCHECK --interval=5s --timeout=5s --start-period=30s --retries=3 \
  CMD ["node", "-e", "fetch('http://127.0.0.1:3000/health').then(r => process.exit(r.ok ? 0 : 1), () => process.exit(1))"]
CMD ["node", "src/main.ts"]

FROM node:24-bookworm-slim
LABEL org.opencontainers.image.title="sluice" \
  org.opencontainers.image.description="A write-behind engine for counters and points: Redis in front, MySQL exactly once in effect" \
  org.opencontainers.image.licenses="MIT"
ENV NODE_ENV=production \
  SLUICE_CONFIG=/etc/sluice/sluice.config.json \
  SLUICE_HTTP_HOST=0.0.0.0
WORKDIR /app
COPY --from=dependencies /build/node_modules node_modules
COPY --from=dependencies /build/sbom.cdx.json ./
COPY package.json LICENSE config.schema.json ./
COPY --from=build /build/dist dist
# It writes no file, so the root file system can be read-only and nothing in it belongs to the user.
USER node
EXPOSE 8080 9464 9466
STOPSIGNAL SIGTERM
HEALTHCHECK --interval=10s --timeout=5s --start-period=30s --retries=3 \
  CMD ["node", "/app/dist/cli/main.js", "health"]
# node itself, not npm or a shell, so that it gets the signals and sets the container's exit code.
# A small young generation: with V8's default, a worker on a long backlog keeps 100 MB more garbage.
ENTRYPOINT ["node", "--max-semi-space-size=4", "/app/dist/cli/main.js"]
CMD ["worker"]
