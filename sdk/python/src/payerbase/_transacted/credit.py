"""The credit of the payer and its ledger, on a server with prices. In a transaction.

Generated from the OpenAPI document by `scripts/generate.py`: do not edit.
"""

from __future__ import annotations

from typing_extensions import Unpack

from payerbase import _operations
from payerbase._operation import TransactedOptions
from payerbase._references import TransactedGroup
from payerbase._transacted import handles


class Credit(TransactedGroup):
    """The credit of the payer and its ledger, on a server with prices. In a transaction."""

    def get(self, **options: Unpack[TransactedOptions]) -> handles.CreditHandle:
        """Get the credit. `credit.get` of the client describes it."""
        return self._add(handles.CreditHandle, _operations.GET_CREDIT, {}, options)
