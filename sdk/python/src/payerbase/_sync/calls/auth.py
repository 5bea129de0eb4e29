"""Sign-in with a wallet, step by step. `wallet=` of the client does it by itself.

Generated from the OpenAPI document by `scripts/generate.py`: do not edit.
"""

from __future__ import annotations

from collections.abc import Sequence

from typing_extensions import Unpack

from payerbase import _operations, models
from payerbase._operation import ReadOptions
from payerbase._sync.group import Group


class Auth(Group):
    """Sign-in with a wallet, step by step. `wallet=` of the client does it by itself."""

    def challenge(
        self,
        address: str,
        *,
        chain: str,
        lifetime_ms: int | None = None,
        scopes: Sequence[models.Scope] | None = None,
        **options: Unpack[ReadOptions],
    ) -> models.Challenge:
        """Begin to sign in with a wallet.

        Returns a message for the wallet to sign. It names this server, the rights and the lifetime of the token. The
        server keeps nothing, so a challenge that is not used costs nothing.

        Args:
            address: Address of the wallet. Only a signature by the key of the address counts: contract wallets
                (ERC-1271) and addresses of several keys cannot sign in.
            chain: Network of the wallet, by its CAIP-2 id. The server must serve it.
            lifetime_ms: Lifetime of the token, in milliseconds, 60,000 to 31,622,400,000 (366 days). Fractions of a
                second are cut off. Default: 86,400,000 (one day).
            scopes: Scopes of the token. Default: `*`, all rights.
        """
        return self._send(
            _operations.CREATE_CHALLENGE,
            {"address": address, "chain": chain, "lifetime_ms": lifetime_ms, "scopes": scopes},
            options,
        )

    def verify(self, nonce: str, *, signature: str, **options: Unpack[ReadOptions]) -> models.SignedIn:
        """Sign in with the signature of a challenge.

        Returns a token of the wallet. Each challenge works once. If the answer is lost, begin again.

        Args:
            nonce: Nonce of the challenge.
            signature: Signature of the message. EVM: `0x` and 130 hexadecimal digits (r, s, v), v being 27 or 28.
                Stacks: 130 hexadecimal digits (r, s, recovery id).

        Raises:
            PayerbaseProblem: Besides the problems of all calls:
                `sign-in-failed`: The wallet is not signed in.
        """
        return self._send(_operations.VERIFY_CHALLENGE, {"nonce": nonce, "signature": signature}, options)
