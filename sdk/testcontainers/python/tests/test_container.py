import json
import os
from datetime import timedelta
from urllib.error import HTTPError
from urllib.request import Request, urlopen

import pytest

from payerbase_testcontainers import PayerbaseContainer, random_payer


def test_the_container_runs_a_server_that_knows_its_mapped_address() -> None:
    image = os.environ.get("PAYERBASE_IMAGE")
    if not image:
        pytest.fail("PAYERBASE_IMAGE is not set: it must be the name of an image, such as `payerbase:latest`")
    with PayerbaseContainer(image) as container:
        payer = random_payer()
        headers = {"Authorization": f"Bearer {container.token(payer)}", "Content-Type": "application/json"}
        body = json.dumps({"url": "https://shop.example/sale"}).encode()
        with urlopen(Request(f"{container.url()}/v1/links", body, headers)) as response:
            short_url = json.load(response)["shortUrl"]
        assert short_url.startswith(f"{container.url()}/")
        container.advance_clock(timedelta(days=1))
        container.reset(payer)
        with pytest.raises(HTTPError, match="404"):
            urlopen(short_url)
