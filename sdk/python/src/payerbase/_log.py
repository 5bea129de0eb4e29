"""The log of the client."""

import logging

LOGGER = logging.getLogger("payerbase")
