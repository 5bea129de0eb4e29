"""Pays for a call with the official client for Python: pay.py <url> [method] [body]

Needs `pip install 'x402[evm,httpx]==2.25.0'`. Prints one line of JSON. PAYER_KEY: who pays.
The time limit is the one that httpx has by default: five seconds for an answer.
"""

import asyncio
import base64
import json
import os
import sys

from eth_account import Account
from x402 import x402Client
from x402.http.clients import x402HttpxClient
from x402.mechanisms.evm import EthAccountSigner
from x402.mechanisms.evm.exact import ExactEvmClientScheme

# The first key of every anvil, known to all.
KEY = "0xac0974bec39a17e36ba4a6b4d238ff944bacb478cbed5efcae784d7bf4f2ff80"


async def pay(url, method="POST", body="{}"):
    account = Account.from_key(os.environ.get("PAYER_KEY", KEY))
    client = x402Client()
    client.register("eip155:*", ExactEvmClientScheme(EthAccountSigner(account)))
    headers = {"Content-Type": "application/json"} if body else {}
    async with x402HttpxClient(client) as http:
        return await http.request(method, url, content=body or None, headers=headers)


def parsed(text):
    try:
        return json.loads(text)
    except ValueError:
        return text


async def main():
    if len(sys.argv) < 2:
        sys.exit("usage: pay.py <url> [method] [body]")
    response = await asyncio.wait_for(pay(*sys.argv[1:4]), 60)
    header = response.headers.get("PAYMENT-RESPONSE")
    answer = {
        "status": response.status_code,
        "body": parsed(response.text),
        "paymentResponse": header and json.loads(base64.b64decode(header)),
    }
    print(json.dumps(answer))


asyncio.run(main())
