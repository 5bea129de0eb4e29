"""The operations of the API.

Generated from the OpenAPI document by `scripts/generate.py`: do not edit.
"""

from __future__ import annotations

from typing import Any

from payerbase import _json, models
from payerbase._operation import Operation, Safety
from payerbase._page import Page

INCREMENT: Operation[models.AdjustedCounter] = Operation(
    id="increment",
    method="POST",
    path="/v1/counters/{name}/increment",
    result=models.AdjustedCounter,
    safety=Safety.KEYED,
    none_is_sent=frozenset({"max", "min"}),
)
DECREMENT: Operation[models.AdjustedCounter] = Operation(
    id="decrement",
    method="POST",
    path="/v1/counters/{name}/decrement",
    result=models.AdjustedCounter,
    safety=Safety.KEYED,
    none_is_sent=frozenset({"max", "min"}),
)
RESET_COUNTER: Operation[models.ResetCounter] = Operation(
    id="resetCounter", method="POST", path="/v1/counters/{name}/reset", result=models.ResetCounter, safety=Safety.KEYED
)
GET_COUNTER: Operation[models.Counter] = Operation(
    id="getCounter", method="GET", path="/v1/counters/{name}", result=models.Counter, safety=Safety.READ
)
DELETE_COUNTER: Operation[None] = Operation(
    id="deleteCounter", method="DELETE", path="/v1/counters/{name}", result=None, safety=Safety.KEYED
)
LIST_COUNTERS: Operation[Page[models.Counter]] = Operation(
    id="listCounters", method="GET", path="/v1/counters", result=Page[models.Counter], safety=Safety.READ
)
CREATE_LINK: Operation[models.Link] = Operation(
    id="createLink", method="POST", path="/v1/links", result=models.Link, safety=Safety.KEYED
)
GET_LINK: Operation[models.Link] = Operation(
    id="getLink", method="GET", path="/v1/links/{slug}", result=models.Link, safety=Safety.READ
)
UPDATE_LINK: Operation[models.Link] = Operation(
    id="updateLink",
    method="PATCH",
    path="/v1/links/{slug}",
    result=models.Link,
    safety=Safety.KEYED,
    none_is_sent=frozenset({"expires_at", "max_clicks", "title"}),
)
DELETE_LINK: Operation[None] = Operation(
    id="deleteLink", method="DELETE", path="/v1/links/{slug}", result=None, safety=Safety.KEYED
)
RECORD_CLICK: Operation[models.RecordedClick] = Operation(
    id="recordClick", method="POST", path="/v1/links/{slug}/clicks", result=models.RecordedClick, safety=Safety.KEYED
)
GET_LINK_STATS: Operation[models.LinkStats] = Operation(
    id="getLinkStats", method="GET", path="/v1/links/{slug}/stats", result=models.LinkStats, safety=Safety.READ
)
LIST_LINKS: Operation[Page[models.Link]] = Operation(
    id="listLinks", method="GET", path="/v1/links", result=Page[models.Link], safety=Safety.READ
)
FOLLOW_LINK: Operation[str] = Operation(
    id="followLink",
    method="GET",
    path="/l/{slug}",
    result=str,
    safety=Safety.ONCE,
    answer="location",
    needs_token=False,
)
LINK_QR: Operation[str] = Operation(
    id="linkQr", method="GET", path="/l/{slug}/qr.svg", result=str, safety=Safety.READ, answer="text", needs_token=False
)
ACQUIRE_LOCK: Operation[models.Lease] = Operation(
    id="acquireLock", method="POST", path="/v1/locks/{name}/acquire", result=models.Lease, safety=Safety.KEYED
)
RELEASE_LOCK: Operation[None] = Operation(
    id="releaseLock", method="POST", path="/v1/locks/{name}/release", result=None, safety=Safety.KEYED
)
EXTEND_LOCK: Operation[models.Lease] = Operation(
    id="extendLock", method="POST", path="/v1/locks/{name}/extend", result=models.Lease, safety=Safety.KEYED
)
CHECK_LOCK: Operation[models.Lock] = Operation(
    id="checkLock", method="GET", path="/v1/locks/{name}", result=models.Lock, safety=Safety.READ
)
LIST_LOCKS: Operation[Page[models.Lock]] = Operation(
    id="listLocks", method="GET", path="/v1/locks", result=Page[models.Lock], safety=Safety.READ
)
PUSH_JOB: Operation[models.PushedJob] = Operation(
    id="pushJob",
    method="POST",
    path="/v1/queues/{queue}/jobs",
    result=models.PushedJob,
    safety=Safety.KEYED,
    none_is_sent=frozenset({"payload"}),
)
PUSH_JOBS: Operation[models.PushedJobs] = Operation(
    id="pushJobs",
    method="POST",
    path="/v1/queues/{queue}/jobs/batch",
    result=models.PushedJobs,
    safety=Safety.KEYED,
    encoders={"jobs": _json.each_members},
)
POP_JOB: Operation[models.LeasedJob | None] = Operation(
    id="popJob", method="POST", path="/v1/queues/{queue}/pop", result=models.LeasedJob | None, safety=Safety.KEYED
)
POP_JOBS: Operation[models.LeasedJobs] = Operation(
    id="popJobs", method="POST", path="/v1/queues/{queue}/pop/batch", result=models.LeasedJobs, safety=Safety.KEYED
)
COMPLETE_JOB: Operation[models.Job] = Operation(
    id="completeJob", method="POST", path="/v1/jobs/{id}/complete", result=models.Job, safety=Safety.KEYED
)
FAIL_JOB: Operation[models.Job] = Operation(
    id="failJob", method="POST", path="/v1/jobs/{id}/fail", result=models.Job, safety=Safety.KEYED
)
EXTEND_JOB: Operation[models.Job] = Operation(
    id="extendJob", method="POST", path="/v1/jobs/{id}/extend", result=models.Job, safety=Safety.KEYED
)
GET_JOB: Operation[models.JobWithErrors] = Operation(
    id="getJob", method="GET", path="/v1/jobs/{id}", result=models.JobWithErrors, safety=Safety.READ
)
CANCEL_JOB: Operation[None] = Operation(
    id="cancelJob", method="DELETE", path="/v1/jobs/{id}", result=None, safety=Safety.KEYED
)
LIST_JOBS: Operation[Page[models.Job]] = Operation(
    id="listJobs", method="GET", path="/v1/queues/{queue}/jobs", result=Page[models.Job], safety=Safety.READ
)
PURGE_QUEUE: Operation[models.Purged] = Operation(
    id="purgeQueue", method="DELETE", path="/v1/queues/{queue}/jobs", result=models.Purged, safety=Safety.KEYED
)
QUEUE_STATUS: Operation[models.QueueStatus] = Operation(
    id="queueStatus", method="GET", path="/v1/queues/{queue}", result=models.QueueStatus, safety=Safety.READ
)
LIST_QUEUES: Operation[Page[models.QueueStatus]] = Operation(
    id="listQueues", method="GET", path="/v1/queues", result=Page[models.QueueStatus], safety=Safety.READ
)
RETRY_DEAD: Operation[models.Retried] = Operation(
    id="retryDead", method="POST", path="/v1/queues/{queue}/retry-dead", result=models.Retried, safety=Safety.KEYED
)
STORE_MEMORY: Operation[models.StoredMemory] = Operation(
    id="storeMemory",
    method="PUT",
    path="/v1/memories/{id}",
    result=models.StoredMemory,
    safety=Safety.KEYED,
    none_is_sent=frozenset({"embedding"}),
)
STORE_MEMORIES: Operation[models.StoredMemories] = Operation(
    id="storeMemories",
    method="POST",
    path="/v1/memories/batch",
    result=models.StoredMemories,
    safety=Safety.KEYED,
    encoders={"memories": _json.each_members},
)
RECALL_MEMORY: Operation[models.Memory] = Operation(
    id="recallMemory", method="GET", path="/v1/memories/{id}", result=models.Memory, safety=Safety.READ
)
UPDATE_MEMORY: Operation[models.Memory] = Operation(
    id="updateMemory",
    method="PATCH",
    path="/v1/memories/{id}",
    result=models.Memory,
    safety=Safety.KEYED,
    none_is_sent=frozenset({"embedding", "expires_at", "importance", "metadata", "namespace", "tags", "ttl_ms"}),
)
FORGET_MEMORY: Operation[None] = Operation(
    id="forgetMemory", method="DELETE", path="/v1/memories/{id}", result=None, safety=Safety.KEYED
)
SEARCH_MEMORIES: Operation[models.Found] = Operation(
    id="searchMemories", method="POST", path="/v1/memories/search", result=models.Found, safety=Safety.READ
)
LIST_MEMORIES: Operation[Page[models.Memory]] = Operation(
    id="listMemories", method="GET", path="/v1/memories", result=Page[models.Memory], safety=Safety.READ
)
QUERY_SQL: Operation[models.SqlRows] = Operation(
    id="querySql",
    method="POST",
    path="/v1/sql/query",
    result=models.SqlRows,
    safety=Safety.READ,
    encoders={"params": _json.sql_params},
)
EXECUTE_SQL: Operation[models.SqlResult] = Operation(
    id="executeSql",
    method="POST",
    path="/v1/sql/execute",
    result=models.SqlResult,
    safety=Safety.KEYED,
    encoders={"params": _json.sql_params},
)
BATCH_SQL: Operation[models.SqlResults] = Operation(
    id="batchSql",
    method="POST",
    path="/v1/sql/batch",
    result=models.SqlResults,
    safety=Safety.KEYED,
    encoders={"statements": _json.sql_statements},
)
MIGRATE_SQL: Operation[models.SqlMigrated] = Operation(
    id="migrateSql",
    method="POST",
    path="/v1/sql/migrate",
    result=models.SqlMigrated,
    safety=Safety.KEYED,
    encoders={"migrations": _json.each_members},
)
GET_SQL_SCHEMA: Operation[models.SqlSchema] = Operation(
    id="getSqlSchema", method="GET", path="/v1/sql/schema", result=models.SqlSchema, safety=Safety.READ
)
EXPORT_SQL: Operation[bytes] = Operation(
    id="exportSql", method="GET", path="/v1/sql/database", result=bytes, safety=Safety.READ, answer="bytes"
)
IMPORT_SQL: Operation[models.SqlImported] = Operation(
    id="importSql", method="PUT", path="/v1/sql/database", result=models.SqlImported, safety=Safety.KEYED
)
GET_ME: Operation[models.Me] = Operation(
    id="getMe", method="GET", path="/v1/me", result=models.Me, safety=Safety.READ, takes_act_for=False
)
LIST_AUDIT: Operation[Page[models.AuditEntry]] = Operation(
    id="listAudit",
    method="GET",
    path="/v1/audit",
    result=Page[models.AuditEntry],
    safety=Safety.READ,
    takes_act_for=False,
)
ERASE_PAYER: Operation[models.Erased] = Operation(
    id="erasePayer", method="POST", path="/v1/me/erase", result=models.Erased, safety=Safety.KEYED, takes_act_for=False
)
EXPORT_PAYER: Operation[Page[dict[str, Any]]] = Operation(
    id="exportPayer",
    method="GET",
    path="/v1/me/export",
    result=Page[dict[str, Any]],
    safety=Safety.READ,
    answer="lines",
    takes_act_for=False,
)
CREATE_TOKEN: Operation[models.CreatedToken] = Operation(
    id="createToken",
    method="POST",
    path="/v1/tokens",
    result=models.CreatedToken,
    safety=Safety.ONCE,
    takes_act_for=False,
    encoders={"allowance": _json.members},
)
LIST_TOKENS: Operation[Page[models.Token]] = Operation(
    id="listTokens", method="GET", path="/v1/tokens", result=Page[models.Token], safety=Safety.READ, takes_act_for=False
)
ROTATE_TOKEN: Operation[models.CreatedToken] = Operation(
    id="rotateToken",
    method="POST",
    path="/v1/tokens/{id}/rotate",
    result=models.CreatedToken,
    safety=Safety.ONCE,
    takes_act_for=False,
)
REVOKE_TOKEN: Operation[None] = Operation(
    id="revokeToken", method="DELETE", path="/v1/tokens/{id}", result=None, safety=Safety.KEYED, takes_act_for=False
)
CREATE_GRANT: Operation[models.Grant] = Operation(
    id="createGrant",
    method="POST",
    path="/v1/grants",
    result=models.Grant,
    safety=Safety.KEYED,
    takes_act_for=False,
    encoders={"allowance": _json.members},
)
LIST_GRANTS: Operation[Page[models.Grant]] = Operation(
    id="listGrants", method="GET", path="/v1/grants", result=Page[models.Grant], safety=Safety.READ, takes_act_for=False
)
REVOKE_GRANT: Operation[None] = Operation(
    id="revokeGrant", method="DELETE", path="/v1/grants/{id}", result=None, safety=Safety.KEYED, takes_act_for=False
)
GET_CREDIT: Operation[models.Credit] = Operation(
    id="getCredit", method="GET", path="/v1/credit", result=models.Credit, safety=Safety.READ, takes_act_for=False
)
TOP_UP: Operation[models.Credit] = Operation(
    id="topUp", method="POST", path="/v1/credit/{amount}", result=models.Credit, safety=Safety.ONCE, takes_act_for=False
)
LIST_LEDGER: Operation[Page[models.LedgerEntry]] = Operation(
    id="listLedger",
    method="GET",
    path="/v1/ledger",
    result=Page[models.LedgerEntry],
    safety=Safety.READ,
    takes_act_for=False,
)
LIST_PAYMENTS: Operation[Page[models.Payment]] = Operation(
    id="listPayments",
    method="GET",
    path="/v1/payments",
    result=Page[models.Payment],
    safety=Safety.READ,
    takes_act_for=False,
)
GET_PAYMENT: Operation[models.Payment] = Operation(
    id="getPayment",
    method="GET",
    path="/v1/payments/{id}",
    result=models.Payment,
    safety=Safety.READ,
    takes_act_for=False,
)
CREATE_CHALLENGE: Operation[models.Challenge] = Operation(
    id="createChallenge",
    method="POST",
    path="/v1/auth/challenge",
    result=models.Challenge,
    safety=Safety.READ,
    needs_token=False,
)
VERIFY_CHALLENGE: Operation[models.SignedIn] = Operation(
    id="verifyChallenge",
    method="POST",
    path="/v1/auth/verify",
    result=models.SignedIn,
    safety=Safety.ONCE,
    needs_token=False,
)
HEALTHZ: Operation[models.Health] = Operation(
    id="healthz", method="GET", path="/healthz", result=models.Health, safety=Safety.READ, needs_token=False
)
READYZ: Operation[models.Health] = Operation(
    id="readyz", method="GET", path="/readyz", result=models.Health, safety=Safety.READ, needs_token=False
)
METRICS: Operation[str] = Operation(
    id="metrics", method="GET", path="/metrics", result=str, safety=Safety.READ, answer="text", needs_token=False
)
OPENAPI: Operation[dict[str, Any]] = Operation(
    id="openapi", method="GET", path="/openapi.json", result=dict[str, Any], safety=Safety.READ, needs_token=False
)
OPENAPI30: Operation[dict[str, Any]] = Operation(
    id="openapi30", method="GET", path="/openapi-3.0.json", result=dict[str, Any], safety=Safety.READ, needs_token=False
)
PROBLEMS: Operation[str] = Operation(
    id="problems", method="GET", path="/problems", result=str, safety=Safety.READ, answer="text", needs_token=False
)
LIST_PAID_ROUTES: Operation[models.PaidRoutes] = Operation(
    id="listPaidRoutes",
    method="GET",
    path="/x402.json",
    result=models.PaidRoutes,
    safety=Safety.READ,
    needs_token=False,
)
TRANSACT: Operation[models.TransactionResults] = Operation(
    id="transact", method="POST", path="/v1/transaction", result=models.TransactionResults, safety=Safety.KEYED
)
