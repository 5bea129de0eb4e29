"""What a schema cannot say, for schemathesis: an empty query parameter of a GET is absent, and so is a body of `null`. A call that
waits is answered when the wait is over."""

from urllib.parse import parse_qsl, urlsplit

import schemathesis
from schemathesis.specs.openapi.checks import negative_data_rejection


schemathesis.serializer.alias("application/vnd.sqlite3", "application/octet-stream")


@schemathesis.deserializer("application/x-ndjson")
def deserialize_lines(ctx, response):
    """The schema of lines of JSON is that of a text."""
    return response.content.decode()


@schemathesis.check
def invalid_data_rejection(ctx, response, case):
    request = response.request
    query = parse_qsl(urlsplit(request.url).query, keep_blank_values=True)
    if case.method.upper() == "GET" and any(value == "" for _, value in query):
        return None
    if request.body in (b"null", "null"):
        return None
    return negative_data_rejection(ctx, response, case)


@schemathesis.hook
def before_call(ctx, case, kwargs):
    """Waits for a second at most: requests have a time limit. Asks for integers as numbers, as the schemas have them. Invalid
    values stay."""
    if case.headers and case.headers.get("Payerbase-Integers") == "string":
        case.headers["Payerbase-Integers"] = "number"
    wait = case.body.get("waitMs") if isinstance(case.body, dict) else None
    if isinstance(wait, (int, float)) and 1_000 < wait <= 30_000:
        case.body["waitMs"] = 1_000
