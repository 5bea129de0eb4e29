"""The account of the caller.

Generated from the OpenAPI document by `scripts/generate.py`: do not edit.
"""

from __future__ import annotations

from typing_extensions import Unpack

from payerbase import _operations, models
from payerbase._operation import ReadOptions
from payerbase._sync.group import Group
from payerbase._sync.pages import Pages


class Account(Group):
    """The account of the caller."""

    def me(self, **options: Unpack[ReadOptions]) -> models.Me:
        """Get the caller's account.

        Returns the payer, the token with its scopes, the usage of the payer, and the limits. Needs no scope.
        """
        return self._send(_operations.GET_ME, {}, options)

    def audit(
        self, *, limit: int | None = None, cursor: str | None = None, **options: Unpack[ReadOptions]
    ) -> Pages[models.AuditEntry]:
        """List the events of the account.

        Newest first: sign-ins, and what happened to tokens, grants and payments. Entries are kept for 366 days, at
        least.

        Args:
            limit: Maximum number of entries in the page, 1 to 1,000. Default: 100.
            cursor: `next_cursor` of the previous page. Default: the first page.
        """
        return self._pages(_operations.LIST_AUDIT, {"limit": limit, "cursor": cursor}, options)
