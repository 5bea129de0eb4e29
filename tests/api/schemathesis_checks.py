"""A check of schemathesis that knows what a schema cannot say: an empty query parameter of a GET is absent, and so is a body
of `null`."""

from urllib.parse import parse_qsl, urlsplit

import schemathesis
from schemathesis.specs.openapi.checks import negative_data_rejection


@schemathesis.check
def invalid_data_rejection(ctx, response, case):
    request = response.request
    query = parse_qsl(urlsplit(request.url).query, keep_blank_values=True)
    if case.method.upper() == "GET" and any(value == "" for _, value in query):
        return None
    if request.body in (b"null", "null"):
        return None
    return negative_data_rejection(ctx, response, case)
