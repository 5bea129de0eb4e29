# payerbase. Two images, which Docker 25 or newer builds:
#
#   docker build -t payerbase .                         with the PostgreSQL that `payerbase dev` runs inside
#   docker build -t payerbase:serve --target serve .    for `payerbase serve`, on a PostgreSQL of its own
#
#   docker run --rm -p 127.0.0.1:4402:4402 payerbase dev --temporary
#
# Memories that are searched by meaning need the cargo feature and, for `dev --embeddings`, the model (84 MB):
#
#   --build-arg FEATURES=local-embeddings,otlp --build-arg FETCH=--embeddings

# Images to build from. For builds that are the same everywhere, pin them: name@sha256:..
ARG RUST_IMAGE=rust:1.95-bookworm
ARG DEBIAN_IMAGE=debian:bookworm-slim

FROM ${RUST_IMAGE} AS build
WORKDIR /build
ARG FEATURES=otlp
ARG TARGETARCH
COPY Cargo.toml Cargo.lock build.rs ./
COPY migrations migrations
COPY sqlite/sqlite.wasm sqlite/sqlite.wasm
COPY src src
# Caches keep dependencies between builds, also when Cargo.lock changes.
# Cargo goes by the times of files: without touch, another version that was built later would pass for this one.
# Without debug information the binary is a fraction of the size; the names of functions stay for backtraces.
RUN --mount=type=cache,target=/usr/local/cargo/registry \
    --mount=type=cache,target=/build/target,id=payerbase-target-$TARGETARCH,sharing=locked \
    touch build.rs src/lib.rs src/main.rs \
    && cargo build --release --locked --features "$FEATURES" --bin payerbase \
    && strip --strip-debug -o /usr/local/bin/payerbase target/release/payerbase

FROM ${DEBIAN_IMAGE} AS postgres
# pip fetches PostgreSQL. It stays in this stage.
RUN apt-get update \
    && apt-get install -y --no-install-recommends ca-certificates python3-pip \
    && rm -rf /var/lib/apt/lists/*
ENV PAYERBASE_CACHE_DIR=/opt/payerbase
WORKDIR $PAYERBASE_CACHE_DIR
ARG FETCH=
COPY --from=build /usr/local/bin/payerbase /usr/local/bin/
# Every new binary fetches again, so pip keeps its download between builds.
# What only compiling against PostgreSQL needs is left behind.
RUN --mount=type=cache,target=/root/.cache/pip \
    payerbase fetch $FETCH \
    && rm -r fetch.* ./*/*/pginstall18/include ./*/*/pginstall18/lib/*.a ./*/*/pginstall18/lib/postgresql/pgxs

FROM ${DEBIAN_IMAGE} AS serve
# The number is fixed: volumes keep it, and Kubernetes checks it. Any other user works too: platforms that choose one put it in
# group 0.
RUN useradd --uid 10001 --gid 0 --no-create-home --home-dir /var/lib/payerbase --shell /usr/sbin/nologin payerbase \
    && install --directory --mode 0770 --owner payerbase --group root /var/lib/payerbase
COPY LICENSE-APACHE LICENSE-MIT /usr/share/doc/payerbase/
LABEL org.opencontainers.image.title="payerbase" \
    org.opencontainers.image.description="A private, stateful backend over HTTP for every wallet that pays" \
    org.opencontainers.image.licenses="MIT OR Apache-2.0"
# Inside a container, localhost would be out of reach for everybody else.
ENV PAYERBASE_HOST=0.0.0.0 \
    PAYERBASE_CACHE_DIR=/opt/payerbase \
    PAYERBASE_DATA_DIR=/var/lib/payerbase
# By number, so that an orchestrator can tell that it is not root.
USER 10001:0
EXPOSE 4402
# bash speaks TCP: no curl needed. Until the first success it asks twice a second. Set PAYERBASE_PORT instead of --port: it asks
# that port.
HEALTHCHECK --interval=5s --timeout=5s --start-period=60s --start-interval=0.5s --retries=3 \
    CMD ["bash", "-c", "exec 3<>\"/dev/tcp/127.0.0.1/${PAYERBASE_PORT:-4402}\" && printf 'GET /healthz HTTP/1.1\\r\\nHost: localhost\\r\\nConnection: close\\r\\n\\r\\n' >&3 && read -r _ status _ <&3 && [ \"$status\" = 200 ]"]
ENTRYPOINT ["payerbase"]
CMD ["serve"]
COPY --from=build /usr/local/bin/payerbase /usr/local/bin/

FROM serve AS dev
COPY --from=postgres /opt/payerbase /opt/payerbase
# The embedded cluster.
VOLUME /var/lib/payerbase
CMD ["dev"]
