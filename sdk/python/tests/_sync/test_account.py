# Made of `tests/_async/test_account.py` by `scripts/generate.py`: do not edit.

from __future__ import annotations

from datetime import datetime

import httpx
import pytest
from eth_account import Account
from eth_account.messages import encode_defunct

from payerbase import Payerbase, PayerbaseError, PayerbaseProblem
from payerbase._challenge import check_message
from payerbase._page import of_lines
from tests.support import Proxy, Server, fresh, problem


def test_describes_the_caller(pb: Payerbase) -> None:
    me = pb.account.me()
    assert me.payer.startswith("0x")
    assert "*" in me.scopes
    assert me.limits.name_bytes_max == 256
    assert isinstance(me.token_expires_at, datetime)


def test_makes_rotates_and_revokes_tokens(pb: Payerbase, server: Server) -> None:
    made = pb.tokens.create(
        name=fresh(), scopes=["counters:write"], methods=["increment"], prefix="x-", allowance={"calls": 2}
    )
    assert made.allowance
    assert made.allowance.calls
    assert made.allowance.calls.remaining == 2
    with Payerbase(server.url, made.token) as narrow:
        narrow.counters.increment(fresh("x"))
        with pytest.raises(PayerbaseProblem, match="token-limited"):
            narrow.counters.increment(fresh("y"))
    rotated = pb.tokens.rotate(made.id, overlap_ms=0)
    assert rotated.name == made.name
    assert rotated.id in [token.id for token in pb.tokens.list(limit=1)]
    pb.tokens.revoke(rotated.id)
    events = [(entry.event, entry.token_id) for entry in pb.account.audit(limit=3)]
    assert ("token-revoked", rotated.id) in events


def test_a_grant_lets_another_payer_act(server: Server, pb: Payerbase) -> None:
    payer, token = (pb.account.me()).payer, server.new_token()
    with Payerbase(server.url, token) as other:
        grantee = (other.account.me()).payer
    grant = pb.grants.create(grantee, scopes=["counters:write"], prefix="g-", pays="grantee")
    assert (grant.grantee, grant.pays, grant.prefix) == (grantee, "grantee", "g-")
    assert grant.id in [grant.id for grant in pb.grants.list()]
    with Payerbase(server.url, token, act_for=payer) as agent:
        name = fresh("g")
        agent.counters.increment(name)
        assert (pb.counters.get(name)).value == 1
        pb.grants.revoke(grant.id)
        with pytest.raises(PayerbaseProblem, match="not-granted"):
            agent.counters.increment(name)


def test_a_page_of_lines_without_the_last_one_is_not_complete() -> None:
    with pytest.raises(ValueError, match="last line"):
        of_lines(b'{"type":"counter","name":"visits"}\n')


def test_exports_and_erases_a_payer(server: Server) -> None:
    with Payerbase(server.url, server.new_token()) as pb:
        payer = (pb.account.me()).payer
        pb.counters.increment("visits")
        pb.memories.store("one", content="One\u2028two\u0085three.")
        page = pb.account.export(limit=1).page()
        assert [(item["type"], item["name"]) for item in page.items] == [("counter", "visits")]
        rest = [item for item in pb.account.export(cursor=page.next_cursor)]
        assert [item for item in pb.account.export(limit=1)] == page.items + rest
        assert "One\u2028two\u0085three." in [item.get("content") for item in rest]
        assert not (pb.account.erase(payer)).has_more
        with pytest.raises(PayerbaseProblem, match="not-found"):
            pb.counters.get("visits")


def test_a_server_without_prices_takes_no_money(pb: Payerbase) -> None:
    assert (pb.credit.get()).items == []
    assert [entry for entry in pb.credit.ledger()] == []
    assert [payment for payment in pb.payments.list()] == []
    with pytest.raises(PayerbaseProblem, match="not-found"):
        pb.payments.get("01a220d3-5d86-7743-ad2e-75e16d374a99")
    with pytest.raises(PayerbaseProblem, match="not-found"):
        pb.credit.top_up(1_000_000)


def test_the_server_describes_itself(pb: Payerbase) -> None:
    assert (pb.server.health()).status == "ok"
    assert (pb.server.ready()).status
    assert "# EOF" in pb.server.metrics()
    assert (pb.server.openapi())["openapi"].startswith("3.1")
    assert (pb.server.openapi_30())["openapi"].startswith("3.0")
    assert "counter-out-of-bounds" in pb.server.problems()
    assert (pb.server.paid_routes()).items == []


def test_signs_in_step_by_step(pb: Payerbase, server: Server) -> None:
    account = Account.create()
    challenge = pb.auth.challenge(account.address, chain="eip155:8453", scopes=["counters:write"])
    signature = account.sign_message(encode_defunct(text=challenge.message)).signature.to_0x_hex()
    signed_in = pb.auth.verify(challenge.nonce, signature=signature)
    with Payerbase(server.url, signed_in.token) as own:
        assert (own.counters.increment("visits")).value == 1


def test_a_wallet_signs_in_by_itself(proxy: Proxy, server: Server) -> None:
    account = Account.create()
    with Payerbase(proxy.url, wallet=account, sign_in_domain=httpx.URL(server.url).netloc.decode()) as pb:
        me = pb.account.me()
        assert me.payer.lower() == account.address.lower()
        pb.counters.increment("visits")
        assert len([seen for seen in proxy.seen if seen.path.startswith("/v1/auth")]) == 2
        # A token that is refused is replaced.
        proxy.faults.append(problem(401, "token-revoked"))
        assert (pb.counters.increment("visits")).value == 2
        assert (pb.account.me()).token_id != me.token_id


def test_a_wallet_may_be_any_object(server: Server) -> None:
    account = Account.create()

    class Wallet:
        address = account.address

        def sign_message(self, message: str) -> bytes:
            return bytes(account.sign_message(encode_defunct(text=message)).signature)

    with Payerbase(server.url, wallet=Wallet()) as pb:
        assert (pb.counters.increment("visits")).value == 1


def test_a_wallet_on_an_unknown_network_is_refused(server: Server) -> None:
    with Payerbase(server.url, wallet=Account.create(), chain="eip155:1") as pb:
        with pytest.raises(PayerbaseProblem, match="invalid-value"):
            pb.counters.increment("visits")


@pytest.mark.parametrize("given", [{}, {"sign_in_domain": "other.example"}])
def test_a_wallet_does_not_sign_for_another_server(proxy: Proxy, given: dict[str, str]) -> None:
    # The proxy relays the challenge of the server.
    with Payerbase(proxy.url, wallet=Account.create(), sign_in_domain=given.get("sign_in_domain")) as pb:
        with pytest.raises(PayerbaseError, match="the domain of the message is"):
            pb.account.me()
    assert [seen.path for seen in proxy.seen] == ["/v1/auth/challenge"]


def test_a_message_must_be_of_the_wallet_the_challenge_and_the_url() -> None:
    message = (
        "a.example wants you to sign in with your Ethereum account:\n0xAB\n\nSign in.\n\n"
        "URI: https://a.example/base/\nVersion: 1\nChain ID: 8453\nNonce: n1\nIssued At: x\nExpiration Time: y"
    )
    good = {"url": "https://a.example/base", "domain": None, "address": "0xab", "nonce": "n1"}
    check_message(message, **good)  # type: ignore[arg-type]
    check_message(message, **good | {"url": "http://inside:80", "domain": "a.example"})  # type: ignore[arg-type]
    for changed in ({"url": "https://a.example"}, {"address": "0xac"}, {"nonce": "n2"}, {"domain": "b.example"}):
        with pytest.raises(PayerbaseError, match="did not sign in"):
            check_message(message, **good | changed)  # type: ignore[arg-type]
    for text in (message + "\nMore: 1", message.replace("https://a", "https://b"), "x\n" + message):
        with pytest.raises(PayerbaseError, match="did not sign in"):
            check_message(text, **good)  # type: ignore[arg-type]


def test_calls_about_the_caller_are_not_on_behalf_of_another(proxy: Proxy, server: Server) -> None:
    with Payerbase(proxy.url, server.token, act_for="0x" + "1" * 40) as pb:
        pb.credit.get()
        pb.tokens.list().page()
    assert ["Payerbase-Act-For" in seen.headers for seen in proxy.seen] == [False, False]
