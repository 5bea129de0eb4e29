"""The account of the caller.

Generated from the OpenAPI document by `scripts/generate.py`: do not edit.
"""

from __future__ import annotations

from typing import Any

from typing_extensions import Unpack

from payerbase import _operations, models
from payerbase._operation import ReadOptions, WriteOptions
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

        Newest first: sign-ins, what happened to tokens, grants and payments, erasures (those of one token within an
        hour are one entry), and how many calls were refused. Entries are kept for 366 days, at least.

        Needs the scope `audit:read`.

        Args:
            limit: Maximum number of entries in the page, 1 to 1,000. Default: 100.
            cursor: `next_cursor` of the previous page. Default: the first page.
        """
        return self._pages(_operations.LIST_AUDIT, {"limit": limit, "cursor": cursor}, options)

    def erase(self, payer: str, **options: Unpack[WriteOptions]) -> models.Erased:
        """Erase the data.

        Deletes the payer's counters, links with their clicks, locks, queues with their jobs, memories and SQL database,
        a limited number of rows in each call: call again until `has_more` is false. It cannot be undone. A call that
        was lost is sent again; an erasure that was interrupted is continued by any later call. What is written
        meanwhile is erased, too, or is there afterwards, so stop your programs first. Then the payer can go on as a new
        one.

        These stay: credit, ledger and payments, which are book-keeping; tokens and grants, which `tokens.revoke` and
        `grants.revoke` end; the log of the account; the highest fence, so that no fence is given out twice; for 24
        hours, hashes of the idempotency keys of earlier writes, so that a write that is repeated does not run again,
        but is `idempotency-mismatch`. Holders of locks and workers lose them: `lock-not-held` or `lock-wrong-token`,
        `not-found`. Short links stop at once; ten minutes later, their slugs become free for everybody.

        With an `Idempotency-Key`, each call of a series needs a key of its own: the same one gets the first answer
        again. If another erasure ran after the first answer was lost, the repeated call is `idempotency-mismatch`: call
        with a new key.

        Needs the scope `account:erase`.

        Args:
            payer: Whose data to erase: the payer of the token, so that no call erases data by mistake.
        """
        return self._send(_operations.ERASE_PAYER, {"payer": payer}, options)

    def export(
        self, *, limit: int | None = None, cursor: str | None = None, **options: Unpack[ReadOptions]
    ) -> Pages[dict[str, Any]]:
        """Export all data.

        A page of all that the payer has, as lines of JSON. Each line is an object with a `type`, and otherwise as the
        operations show it: `counter`, `link`, `click` and `clickTotal` (clicks of a whole day, `by` day, referrer,
        country or browser), `lock` (held ones), `job` (with errors), `memory` (with its vector), `sqlDatabase` (get it
        with `sql.export_database`), `credit`, `ledgerEntry`, `payment`, `token`, `grant` and `auditEntry`, in this
        order.

        The export is no snapshot: it shows a row that changes meanwhile as it was before or after the change, and it
        may show a row that is deleted meanwhile. Secrets are not in it: tokens of locks, leases of jobs, secrets of
        tokens.

        Needs the scope `account:export`.

        Args:
            limit: Maximum number of lines in the page, 1 to 1,000, without the last one. Default: 100.
            cursor: `cursor` of the last line of the previous page. Default: the first page.
        """
        return self._pages(_operations.EXPORT_PAYER, {"limit": limit, "cursor": cursor}, options)
