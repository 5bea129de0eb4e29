"""Tokens with fewer rights, for your programs. In a transaction.

Generated from the OpenAPI document by `scripts/generate.py`: do not edit.
"""

from __future__ import annotations

from collections.abc import Sequence

from typing_extensions import Unpack

from payerbase import _operations, inputs, models
from payerbase._operation import TransactedOptions
from payerbase._references import Handle, TransactedGroup
from payerbase._transacted import handles


class Tokens(TransactedGroup):
    """Tokens with fewer rights, for your programs. In a transaction."""

    def create(
        self,
        *,
        allowance: inputs.Allowance | None = None,
        lifetime_ms: int | None = None,
        methods: Sequence[str] | None = None,
        name: str | None = None,
        prefix: str | None = None,
        scopes: Sequence[models.Scope] | None = None,
        **options: Unpack[TransactedOptions],
    ) -> handles.CreatedTokenHandle:
        """Make a token. `tokens.create` of the client describes it."""
        return self._add(
            handles.CreatedTokenHandle,
            _operations.CREATE_TOKEN,
            {
                "allowance": allowance,
                "lifetime_ms": lifetime_ms,
                "methods": methods,
                "name": name,
                "prefix": prefix,
                "scopes": scopes,
            },
            options,
        )

    def rotate(
        self, id: str, *, overlap_ms: int | None = None, **options: Unpack[TransactedOptions]
    ) -> handles.CreatedTokenHandle:
        """Replace a token. `tokens.rotate` of the client describes it."""
        return self._add(
            handles.CreatedTokenHandle, _operations.ROTATE_TOKEN, {"id": id, "overlap_ms": overlap_ms}, options
        )

    def revoke(self, id: str, **options: Unpack[TransactedOptions]) -> Handle[None]:
        """Revoke a token. `tokens.revoke` of the client describes it."""
        return self._add(Handle[None], _operations.REVOKE_TOKEN, {"id": id}, options)
