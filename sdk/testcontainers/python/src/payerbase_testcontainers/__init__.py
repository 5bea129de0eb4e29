"""Starts payerbase in a container for tests."""

from datetime import datetime, timedelta

from testcontainers.core.container import DockerContainer
from testcontainers.core.wait_strategies import HttpWaitStrategy
from typing_extensions import Self

from .server import PayerbaseError, PayerbaseServer, random_payer

__all__ = ["PayerbaseContainer", "PayerbaseError", "PayerbaseServer", "random_payer"]

_PORT = 4402


class PayerbaseContainer(DockerContainer):
    """A container of `payerbase dev`. Its data is lost when it stops."""

    def __init__(self, image: str = "payerbase:latest") -> None:
        super().__init__(image)
        self.with_command(["dev", "--temporary"])
        self.with_exposed_ports(_PORT)
        self.waiting_for(HttpWaitStrategy(_PORT, "/readyz").for_status_code(200))

    def start(self) -> Self:
        """Start the container, wait until the server is ready and tell it its mapped address."""
        super().start()
        try:
            self._server().set_public_url(self.url())
        except BaseException:
            self.stop()
            raise
        return self

    def url(self) -> str:
        """Return the base URL from outside of the container, such as `http://localhost:49153`."""
        return self._server().url()

    def token(self, payer: str | None = None) -> str:
        """Return a bearer token of `payer`, a wallet address. Without `payer`: of a new random payer."""
        return self._server().token(payer)

    def reset(self, payer: str) -> None:
        """Erase all data of `payer`, a wallet address."""
        self._server().reset(payer)

    def advance_clock(self, duration: timedelta) -> datetime:
        """Move the clock of the server forward by whole milliseconds. Return the new time, in UTC."""
        return self._server().advance_clock(duration)

    def _server(self) -> PayerbaseServer:
        return PayerbaseServer(f"http://{self.get_container_host_ip()}:{self.get_exposed_port(_PORT)}")
