"""The names that the OpenAPI document does not say: how Python spells the operations and their parameters."""

from __future__ import annotations

from dataclasses import dataclass

GROUPS = {
    "counters": "Counters: 64-bit integers with optional bounds.",
    "links": "Short links with clicks and QR codes.",
    "locks": "Locks: one holder at a time, with fences against late writes.",
    "queues": "Job queues with priorities, delays, retries, groups and deduplication.",
    "memories": "Memories: texts that are found by words, by meaning, or by both.",
    "sql": "The payer's own SQLite database of up to 16 MiB.",
    "account": "The account of the caller.",
    "tokens": "Tokens with fewer rights, for your programs.",
    "grants": "Grants: what other payers may do for this one.",
    "credit": "The credit of the payer and its ledger, on a server with prices.",
    "payments": "The payments of the payer, on a server with prices.",
    "auth": "Sign-in with a wallet, step by step. `wallet=` of the client does it by itself.",
    "server": "The server itself. These calls need no token.",
}


@dataclass(frozen=True)
class Name:
    """How Python spells an operation."""

    group: str
    method: str
    # Parameters that may be given without their names, besides those of the path.
    positional: tuple[str, ...] = ()
    # Parameters for which `None` is sent, because it means something else than "absent".
    none_is_sent: tuple[str, ...] = ()


_BOUNDS = ("min", "max")

NAMES = {
    "increment": Name("counters", "increment", none_is_sent=_BOUNDS),
    "decrement": Name("counters", "decrement", none_is_sent=_BOUNDS),
    "resetCounter": Name("counters", "reset"),
    "getCounter": Name("counters", "get"),
    "deleteCounter": Name("counters", "delete"),
    "listCounters": Name("counters", "list"),
    "createLink": Name("links", "create", ("url",)),
    "getLink": Name("links", "get"),
    "updateLink": Name("links", "update", none_is_sent=("title", "expires_at", "max_clicks")),
    "deleteLink": Name("links", "delete"),
    "recordClick": Name("links", "record_click"),
    "getLinkStats": Name("links", "stats"),
    "listLinks": Name("links", "list"),
    "followLink": Name("links", "follow"),
    "linkQr": Name("links", "qr"),
    "acquireLock": Name("locks", "acquire"),
    "releaseLock": Name("locks", "release"),
    "extendLock": Name("locks", "extend"),
    "checkLock": Name("locks", "get"),
    "listLocks": Name("locks", "list"),
    "pushJob": Name("queues", "push", ("payload",)),
    "pushJobs": Name("queues", "push_many", ("jobs",)),
    "popJob": Name("queues", "pop"),
    "popJobs": Name("queues", "pop_many", ("count",)),
    "completeJob": Name("queues", "complete"),
    "failJob": Name("queues", "fail"),
    "extendJob": Name("queues", "extend"),
    "getJob": Name("queues", "get_job"),
    "cancelJob": Name("queues", "cancel"),
    "listJobs": Name("queues", "list_jobs"),
    "purgeQueue": Name("queues", "purge"),
    "queueStatus": Name("queues", "status"),
    "listQueues": Name("queues", "list"),
    "retryDead": Name("queues", "retry_dead"),
    "storeMemory": Name("memories", "store", ("content",), none_is_sent=("embedding",)),
    "storeMemories": Name("memories", "store_many", ("memories",)),
    "recallMemory": Name("memories", "get"),
    "updateMemory": Name(
        "memories",
        "update",
        none_is_sent=("embedding", "expires_at", "importance", "metadata", "namespace", "tags", "ttl_ms"),
    ),
    "forgetMemory": Name("memories", "delete"),
    "searchMemories": Name("memories", "search", ("query",)),
    "listMemories": Name("memories", "list"),
    "querySql": Name("sql", "query", ("sql", "params")),
    "executeSql": Name("sql", "execute", ("sql", "params")),
    "batchSql": Name("sql", "batch", ("statements",)),
    "migrateSql": Name("sql", "migrate", ("migrations",)),
    "getSqlSchema": Name("sql", "schema"),
    # `import` is a keyword of Python.
    "exportSql": Name("sql", "export_database"),
    "importSql": Name("sql", "import_database", ("file",)),
    "getMe": Name("account", "me"),
    "listAudit": Name("account", "audit"),
    "erasePayer": Name("account", "erase", ("payer",)),
    "exportPayer": Name("account", "export"),
    "createToken": Name("tokens", "create"),
    "listTokens": Name("tokens", "list"),
    "rotateToken": Name("tokens", "rotate"),
    "revokeToken": Name("tokens", "revoke"),
    "createGrant": Name("grants", "create", ("grantee",)),
    "listGrants": Name("grants", "list"),
    "revokeGrant": Name("grants", "revoke"),
    "getCredit": Name("credit", "get"),
    "topUp": Name("credit", "top_up"),
    "listLedger": Name("credit", "ledger"),
    "listPayments": Name("payments", "list"),
    "getPayment": Name("payments", "get"),
    "createChallenge": Name("auth", "challenge", ("address",)),
    "verifyChallenge": Name("auth", "verify", ("nonce",)),
    "healthz": Name("server", "health"),
    "readyz": Name("server", "ready"),
    "metrics": Name("server", "metrics"),
    "openapi": Name("server", "openapi"),
    "openapi30": Name("server", "openapi_30"),
    "problems": Name("server", "problems"),
    "listPaidRoutes": Name("server", "paid_routes"),
}

# Texts about values of SQL, which are JSON in the document.
SQL_PARAMS_DOC = (
    "Values of its parameters: a sequence for `?` and `?1`, or a mapping for `:name`, `@name` and `$name`, whose keys "
    "may omit that character. Up to 1,000 values: `int` (64 bits), `float`, `str`, `bytes` and `None`; `True` is 1, "
    "`False` is 0."
)
SQL_ROWS_DOC = "Rows, each a list with one value per column: `int` (64 bits), `float`, `str`, `bytes` and `None`."

# `transact` is a block (`with pb.transact() as t:`), written by hand.
BY_HAND = {"transact"}

# Reads that send a body, and so are no GET. `createChallenge` keeps nothing on the server.
READS_WITH_BODY = {"querySql", "searchMemories", "createChallenge"}

# A GET that changes something: it counts a click.
CHANGING_GETS = {"followLink"}

# Sending it again may pay again.
PAYING = {"topUp"}
