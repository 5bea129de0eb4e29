"""Tokens with fewer rights, for your programs.

Generated from the OpenAPI document by `scripts/generate.py`: do not edit.
"""

from __future__ import annotations

from collections.abc import Sequence

from typing_extensions import Unpack

from payerbase import _operations, inputs, models
from payerbase._async.group import AsyncGroup
from payerbase._async.pages import AsyncPages
from payerbase._operation import OnceOptions, ReadOptions, WriteOptions


class AsyncTokens(AsyncGroup):
    """Tokens with fewer rights, for your programs."""

    async def create(
        self,
        *,
        allowance: inputs.Allowance | None = None,
        lifetime_ms: int | None = None,
        methods: Sequence[str] | None = None,
        name: str | None = None,
        prefix: str | None = None,
        scopes: Sequence[models.Scope] | None = None,
        **options: Unpack[OnceOptions],
    ) -> models.CreatedToken:
        """Make a token.

        The new token has at most the scopes, the methods and the names of the token that asks, and does not outlive it:
        scopes that the token lacks are `missing-scope`. A payer has at most 1,000 valid tokens that were made this way.
        The answer is the only copy of the token, so the call takes no `Idempotency-Key`: if the answer is lost, revoke
        the token that `tokens.list` shows, and make another.

        Needs the scope `tokens:write`.

        Args:
            allowance: Maximum number of calls, and maximum amounts that the token spends. Default: the allowance of the
                calling token, shared; without one, no limit.
            lifetime_ms: Lifetime of the token, in milliseconds, 60,000 to 31,622,400,000 (366 days). It must end before
                the token that asks expires. Default: one day, or as long as the token that asks is valid.
            methods: Methods that the token may call, by `operationId`, 1 to 100. Each must be allowed for the calling
                token, and by `scopes`. `account.me`, `credit.top_up`, and rotating or revoking the token itself are
                always allowed. Default: the methods of the calling token.
            name: Name of the token in lists, 1 to 256 bytes of UTF-8. Default: none.
            prefix: Prefix of the names that the token may use: counters, locks, queues, and ids and namespaces of
                memories. It must begin with the prefix of the calling token. Methods that name a resource in another
                way, such as links and `queues.get_job`, are refused. Jobs can be extended, completed and failed with
                their lease. Default: the prefix of the calling token.
            scopes: Scopes of the token, at most those of the token that asks. Default: the same as those.

        Raises:
            PayerbaseProblem: Besides the problems of all calls:
                `quota-exceeded`: The payer has as much of this as it may have.
        """
        return await self._send(
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

    def list(
        self, *, limit: int | None = None, cursor: str | None = None, **options: Unpack[ReadOptions]
    ) -> AsyncPages[models.Token]:
        """List tokens.

        Newest first, with those of wallets and of the operator. Expired and revoked tokens are listed until 30 days
        after their time of expiry, at least.

        Needs the scope `tokens:read`.

        Args:
            limit: Maximum number of tokens in the page, 1 to 1,000. Default: 100.
            cursor: `next_cursor` of the previous page. Default: the first page.
        """
        return self._pages(_operations.LIST_TOKENS, {"limit": limit, "cursor": cursor}, options)

    async def rotate(
        self, id: str, *, overlap_ms: int | None = None, **options: Unpack[OnceOptions]
    ) -> models.CreatedToken:
        """Replace a token.

        Returns a new token with the name, the scopes, the limits, the allowance and the time of expiry of the old one.
        The old one is valid for `overlap_ms` more, so that its users can be switched; within 5 seconds, all servers
        know. A token can replace itself, without the scope `tokens:write`, and those that were made with it. Tokens
        that the old one has made stay: if it leaked, revoke it. Like `tokens.create`, the call takes no
        `Idempotency-Key`.

        Needs the scope `tokens:write`.

        Args:
            id: Public id of the token to replace.
            overlap_ms: How much longer the old token is valid, in milliseconds, 0 to 86,400,000 (24 hours). Default:
                86,400,000.

        Raises:
            PayerbaseProblem: Besides the problems of all calls:
                `quota-exceeded`: The payer has as much of this as it may have.
                `not-found`: The resource or the path does not exist.
        """
        return await self._send(_operations.ROTATE_TOKEN, {"id": id, "overlap_ms": overlap_ms}, options)

    async def revoke(self, id: str, **options: Unpack[WriteOptions]) -> None:
        """Revoke a token.

        Every server refuses it within 5 seconds. The tokens that were made with it, by `tokens.create` or
        `tokens.rotate`, directly or not, are revoked too. A token with limits revokes only itself and the tokens that
        it made: others are `not-found`. A token can revoke itself without the scope `tokens:write`. To revoke a second
        time changes nothing.

        Needs the scope `tokens:write`.

        Args:
            id: Public id of the token.

        Raises:
            PayerbaseProblem: Besides the problems of all calls:
                `not-found`: The resource or the path does not exist.
        """
        await self._send(_operations.REVOKE_TOKEN, {"id": id}, options)
