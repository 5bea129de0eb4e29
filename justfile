# The commands of README.md, CONTRIBUTING.md and docs/FIGURES.md by name. Nothing needs `just`.

# List the recipes
default:
    @just --list

# Run everything on this machine, with an embedded PostgreSQL
run:
    cargo run

# Run everything with a small language model, so that memories can be searched by meaning
run-embeddings:
    cargo run --features local-embeddings -- dev --embeddings

# Print a new token, while `just run` is running
token payer="0x52908400098527886e0f7030069857d2e4169ee7":
    @cargo run -q -- token create --payer {{ payer }}

# Run all tests that a fresh machine can run
test:
    cargo test

# Run the tests of the API whose names contain a text: just one-test counters::
one-test name:
    cargo test --test api {{ name }}

# Run the tests of the database: tables, functions, plans, migrations
test-db:
    cargo test --test db

# Run the tests of the house rules: imports, sizes
test-house:
    cargo test --test house

# Write the generated files: openapi/openapi.json, docs/problems.md, docs/CONFIGURATION.md, docs/LIMITS.md
adopt:
    PAYERBASE_TEST_ADOPT=1 cargo test --test api drift

# Format the code
fmt:
    cargo fmt

# Check format and lints
lint:
    cargo fmt --check
    cargo clippy --locked --all-targets -- -D warnings

# Fuzz a parser for ten minutes (nightly Rust, cargo-fuzz): just fuzz payment_header
fuzz target:
    mkdir -p fuzz/corpus/{{ target }}
    cargo +nightly fuzz run --dev -s none {{ target }} fuzz/corpus/{{ target }} fuzz/seeds/{{ target }} -- -max_total_time=600

# Build the documentation of the code
doc:
    RUSTDOCFLAGS="-D warnings" cargo doc --locked --no-deps

# Check everything that a change must pass; installs redis-server, nginx, a JDK and schemathesis if needed
ci:
    .ci/run

# Print the OpenAPI document
openapi:
    @cargo run -q -- openapi

# Measure all loads, two rounds of two seconds each (Linux, with wrk)
bench:
    BENCH_SECONDS=2 BENCH_ROUNDS=2 cargo bench

# Measure queues for four minutes
bench-long:
    BENCH_MINUTES=4 cargo bench -- long

# Measure two servers on one database
bench-two:
    cargo bench -- two

# Measure searches among a million memories
bench-memories:
    cargo bench -- memories

# Measure how good search results are
bench-relevance:
    cargo bench --features local-embeddings -- relevance

# Measure the language model beside sentence-transformers; python has that package
bench-embeddings python:
    BENCH_PYTHON={{ python }} cargo bench --features local-embeddings -- embeddings

# Build the container image
image:
    docker build -t payerbase .
