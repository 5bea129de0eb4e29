"""The calls that a transaction may contain.

Generated from the OpenAPI document by `scripts/generate.py`: do not edit.
"""

from __future__ import annotations

from payerbase._references import Recorder
from payerbase._transacted.counters import Counters
from payerbase._transacted.credit import Credit
from payerbase._transacted.grants import Grants
from payerbase._transacted.links import Links
from payerbase._transacted.locks import Locks
from payerbase._transacted.memories import Memories
from payerbase._transacted.payments import Payments
from payerbase._transacted.queues import Queues
from payerbase._transacted.sql import Sql
from payerbase._transacted.tokens import Tokens


class TransactedCalls(Recorder):
    """The calls that a transaction may contain, by group."""

    def __init__(self) -> None:
        super().__init__()
        self.counters = Counters(self)
        self.links = Links(self)
        self.locks = Locks(self)
        self.queues = Queues(self)
        self.memories = Memories(self)
        self.sql = Sql(self)
        self.tokens = Tokens(self)
        self.grants = Grants(self)
        self.credit = Credit(self)
        self.payments = Payments(self)
