"""Client of payerbase: counters, links, locks, queues, memories, SQL, and transactions over them."""

from payerbase._async.client import AsyncPayerbase
from payerbase._async.locks import AsyncHeldLock
from payerbase._async.pages import AsyncPages
from payerbase._async.transaction import AsyncTransaction
from payerbase._async.worker import AsyncWorkedJob
from payerbase._json import SqlParams, SqlValue
from payerbase._operation import ABSENT, Absent, Guard
from payerbase._page import Page
from payerbase._references import Handle, Ref
from payerbase._settings import Wallet
from payerbase._sync.client import Payerbase
from payerbase._sync.locks import HeldLock
from payerbase._sync.pages import Pages
from payerbase._sync.transaction import Transaction
from payerbase._sync.worker import WorkedJob
from payerbase.errors import PayerbaseAnswerError, PayerbaseConnectionError, PayerbaseError, PayerbaseProblem

__all__ = [
    "ABSENT",
    "Absent",
    "AsyncHeldLock",
    "AsyncPages",
    "AsyncPayerbase",
    "AsyncTransaction",
    "AsyncWorkedJob",
    "Guard",
    "Handle",
    "HeldLock",
    "Page",
    "Pages",
    "Payerbase",
    "PayerbaseAnswerError",
    "PayerbaseConnectionError",
    "PayerbaseError",
    "PayerbaseProblem",
    "Ref",
    "SqlParams",
    "SqlValue",
    "Transaction",
    "Wallet",
    "WorkedJob",
]
