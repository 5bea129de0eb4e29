"""Grants: what other payers may do for this one. In a transaction.

Generated from the OpenAPI document by `scripts/generate.py`: do not edit.
"""

from __future__ import annotations

from collections.abc import Sequence

from typing_extensions import Unpack

from payerbase import _operations, inputs, models
from payerbase._operation import TransactedOptions
from payerbase._references import Handle, TransactedGroup
from payerbase._transacted import handles


class Grants(TransactedGroup):
    """Grants: what other payers may do for this one. In a transaction."""

    def create(
        self,
        grantee: str,
        *,
        scopes: Sequence[models.Scope],
        allowance: inputs.Allowance | None = None,
        lifetime_ms: int | None = None,
        methods: Sequence[str] | None = None,
        name: str | None = None,
        pays: models.Pays | None = None,
        prefix: str | None = None,
        **options: Unpack[TransactedOptions],
    ) -> handles.GrantHandle:
        """Let another payer call for this one. `grants.create` of the client describes it."""
        return self._add(
            handles.GrantHandle,
            _operations.CREATE_GRANT,
            {
                "grantee": grantee,
                "allowance": allowance,
                "lifetime_ms": lifetime_ms,
                "methods": methods,
                "name": name,
                "pays": pays,
                "prefix": prefix,
                "scopes": scopes,
            },
            options,
        )

    def revoke(self, id: str, **options: Unpack[TransactedOptions]) -> Handle[None]:
        """Revoke a grant. `grants.revoke` of the client describes it."""
        return self._add(Handle[None], _operations.REVOKE_GRANT, {"id": id}, options)
