# Build:  docker build -t armorhooks .
# Run:    docker run -d --name armorhooks --stop-timeout 20 -p 127.0.0.1:8787:8787 -v armorhooks-data:/data armorhooks
# First:  docker exec armorhooks /armorhooks org create --name acme
# A directory of the host that is mounted as /data must belong to uid 65532.

FROM node:24-bookworm-slim AS build
WORKDIR /src

# The Bun version is the one of package.json's "packageManager" ("bun@x.y.z"), and of nothing else.
COPY package.json bun.lock ./
RUN npm install --global "$(node -p 'require("./package.json").packageManager')" \
  && bun install --frozen-lockfile

COPY . .
RUN bun run build

# The root of the run stage: the binary, the libraries that it links to (ldd names them for each
# architecture), and what libc looks up. No shell, no package manager, nothing else.
RUN set -eu; \
  mkdir -p /root-fs/etc /root-fs/run /owned/data /owned/run; \
  install -m 0755 dist/armorhooks /root-fs/armorhooks; \
  for library in $(ldd dist/armorhooks | grep -o '/[^ ]*'); do \
    install -D -m 0755 "$library" "/root-fs$library"; \
  done; \
  echo 'armorhooks:x:65532:65532::/data:/nonexistent' > /root-fs/etc/passwd; \
  echo 'armorhooks:x:65532:' > /root-fs/etc/group; \
  echo 'hosts: files dns' > /root-fs/etc/nsswitch.conf; \
  mkdir -m 1777 /root-fs/tmp; \
  chown -R 65532:65532 /owned; \
  chmod 0700 /owned/data; \
  chmod 0750 /owned/run

FROM scratch
COPY --from=build /root-fs/ /
# There is no shell to run chown here. A new named volume takes over the owner of the directory.
COPY --from=build --chown=65532:65532 /owned/data /data
COPY --from=build --chown=65532:65532 /owned/run /run/armorhooks

# The socket is outside /data, so that scanners can share it without sharing the database.
ENV ARMORHOOKS_HOST=0.0.0.0 \
  ARMORHOOKS_PORT=8787 \
  ARMORHOOKS_DATA_DIR=/data \
  ARMORHOOKS_SOCKET=/run/armorhooks/events.sock

USER 65532:65532
WORKDIR /data
# Fails the build if the binary misses a library.
RUN ["/armorhooks", "version"]

VOLUME ["/data", "/run/armorhooks"]
EXPOSE 8787

HEALTHCHECK --interval=30s --timeout=5s --start-period=10s --retries=3 CMD ["/armorhooks", "health"]
# A drain may take 15 s, and Docker kills after 10 s unless it is run with --stop-timeout 20.
STOPSIGNAL SIGTERM
ENTRYPOINT ["/armorhooks"]
CMD ["serve"]
