#!/usr/bin/env bash
# Builds sqlite.wasm from the amalgamation of SQLite in the package libsqlite3-sys, as native/Cargo.lock pins it, and from
# shim.c. It needs Debian's packages clang-16, lld-16, wasi-libc and libclang-rt-16-dev-wasm32, and makes the same bytes each
# time.
#   build.sh [file]   where to write; sqlite.wasm beside this script, unless given
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)
into=${1:-$here/sqlite.wasm}

cargo fetch --quiet --locked --manifest-path "$here/native/Cargo.toml"
version=$(grep -A 1 '^name = "libsqlite3-sys"' "$here/native/Cargo.lock" | sed -n 's/^version = "\(.*\)"/\1/p')
amalgamation=$(find "${CARGO_HOME:-$HOME/.cargo}/registry/src" -maxdepth 2 -name "libsqlite3-sys-$version" -print -quit)/sqlite3

options=(
    -DSQLITE_OS_OTHER=1 -DSQLITE_THREADSAFE=0 -DSQLITE_TEMP_STORE=3 -DSQLITE_MAX_MMAP_SIZE=0 -DSQLITE_DEFAULT_MEMSTATUS=0
    -DSQLITE_OMIT_LOAD_EXTENSION -DSQLITE_OMIT_SHARED_CACHE -DSQLITE_OMIT_WAL -DSQLITE_OMIT_DESERIALIZE
    -DSQLITE_DQS=0 -DSQLITE_DEFAULT_FOREIGN_KEYS=1 -DSQLITE_ENABLE_MATH_FUNCTIONS
    -DSQLITE_PRINTF_PRECISION_LIMIT=100000
)
functions=(
    initialize malloc free limit errmsg extended_errcode error_offset
    prepare_v3 step reset finalize stmt_readonly stmt_isexplain
    bind_parameter_count bind_parameter_name bind_int64 bind_double
    column_count column_name column_decltype column_type column_int64 column_double column_text column_blob column_bytes
    get_autocommit changes64 total_changes64 last_insert_rowid set_last_insert_rowid
)

clang-16 --target=wasm32-wasi -O2 -mexec-model=reactor "${options[@]}" -I "$amalgamation" \
    -ffile-prefix-map="$amalgamation=sqlite" -ffile-prefix-map="$here=shim" \
    "$amalgamation/sqlite3.c" "$here/shim.c" -o "$into" \
    -Wl,--strip-all -Wl,--stack-first -Wl,-z,stack-size=262144 -Wl,--max-memory=67108864 \
    "${functions[@]/#/-Wl,--export=sqlite3_}"
