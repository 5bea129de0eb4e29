"""Grants: what other payers may do for this one.

Generated from the OpenAPI document by `scripts/generate.py`: do not edit.
"""

from __future__ import annotations

from collections.abc import Sequence

from typing_extensions import Unpack

from payerbase import _operations, inputs, models
from payerbase._operation import ReadOptions, WriteOptions
from payerbase._sync.group import Group
from payerbase._sync.pages import Pages


class Grants(Group):
    """Grants: what other payers may do for this one."""

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
        **options: Unpack[WriteOptions],
    ) -> models.Grant:
        """Let another payer call for this one.

        The grantee calls with its own token, or pays, and sends the header `Payerbase-Act-For` with the address of the
        payer. It can do what the grant and its own token allow, on the data of the payer. Methods of the account cannot
        be granted. With several grants, the oldest that allows the whole call is used. A grant is revoked with the
        token that made it. Servers use a new grant within 2 seconds. A payer has at most 16 valid grants for the same
        grantee.

        Needs the scope `tokens:write`.

        Args:
            grantee: The payer who gets the rights.
            scopes: Scopes of the grant, at most those of the token that asks: only those of primitives, none of the
                account.
            allowance: Maximum number of calls, and maximum amounts that the grantee spends from the credit of the
                payer; amounts only if the payer pays. Default: the allowance of the calling token, shared; without one,
                no limit.
            lifetime_ms: Lifetime of the grant, in milliseconds, 60,000 to 31,622,400,000 (366 days). It must end before
                the token that asks expires. Default: one day, or as long as the token that asks is valid.
            methods: Methods that the grantee may call, by `operationId`, 1 to 100. `scopes` must allow each. Default:
                the methods of the calling token.
            name: Name of the grant in lists, 1 to 256 bytes of UTF-8. Default: none.
            pays: Who pays for the calls of the grantee. Default: the grantee. A payment that comes with a call is
                always that of the grantee.
            prefix: Prefix of the names that the grantee may use, as for `tokens.create`. Default: the prefix of the
                calling token.

        Raises:
            PayerbaseProblem: Besides the problems of all calls:
                `quota-exceeded`: The payer has as much of this as it may have.
        """
        return self._send(
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

    def list(
        self, *, limit: int | None = None, cursor: str | None = None, **options: Unpack[ReadOptions]
    ) -> Pages[models.Grant]:
        """List the grants that the payer has given.

        Newest first. Expired and revoked grants are listed until 30 days after their time of expiry, at least.

        Needs the scope `tokens:read`.

        Args:
            limit: Maximum number of grants in the page, 1 to 1,000. Default: 100.
            cursor: `next_cursor` of the previous page. Default: the first page.
        """
        return self._pages(_operations.LIST_GRANTS, {"limit": limit, "cursor": cursor}, options)

    def revoke(self, id: str, **options: Unpack[WriteOptions]) -> None:
        """Revoke a grant.

        After the answer, no write that uses the grant takes effect. Reads are refused within 2 seconds. A token with
        limits revokes only the grants that it made. To revoke a second time changes nothing.

        Needs the scope `tokens:write`.

        Args:
            id: Id of the grant.

        Raises:
            PayerbaseProblem: Besides the problems of all calls:
                `not-found`: The resource or the path does not exist.
        """
        self._send(_operations.REVOKE_GRANT, {"id": id}, options)
