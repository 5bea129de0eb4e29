"""The payments of the payer, on a server with prices. In a transaction.

Generated from the OpenAPI document by `scripts/generate.py`: do not edit.
"""

from __future__ import annotations

from typing_extensions import Unpack

from payerbase import _operations
from payerbase._operation import TransactedOptions
from payerbase._references import TransactedGroup
from payerbase._transacted import handles


class Payments(TransactedGroup):
    """The payments of the payer, on a server with prices. In a transaction."""

    def get(self, id: str, **options: Unpack[TransactedOptions]) -> handles.PaymentHandle:
        """Get a payment. `payments.get` of the client describes it."""
        return self._add(handles.PaymentHandle, _operations.GET_PAYMENT, {"id": id}, options)
