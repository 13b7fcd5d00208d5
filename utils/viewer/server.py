"""The web server: a page for every browser tab, and nothing for anyone else."""

from __future__ import annotations

import contextlib
import io
import logging
import secrets
import socket
import warnings
from urllib.parse import urlsplit

import viser
from viser import _messages
from viser.infra import WebsockClientConnection

from utils.viewer.page import Page
from utils.viewer.scene import THEME
from utils.viewer.studio import Studio

EVERYWHERE = ("", "0.0.0.0", "::")
LOCAL_HOSTS = ("127.0.0.1", "localhost", "::1")
# What a page still says to a tab that is being closed is lost, and may be.
warnings.filterwarnings("ignore", message="Queued a .* on a closed connection")


class Server:
    """Serves a studio at an address; the next free port is taken if that one is in use.

    Beyond this machine, only who knows `key` is let in, which is part of the printed address: what a browser says
    (`Origin`, `Host`) is no proof, since a web page can have its own name lead here.

    pages    by the ids of their clients
    address  to open in a browser
    """

    def __init__(self, studio: Studio, host: str = "127.0.0.1", port: int = 8080) -> None:
        self.studio, self.local = studio, host in LOCAL_HOSTS
        self.key = "" if self.local else secrets.token_urlsafe(16)
        self._reached = lan_address() if host in EVERYWHERE else host
        names = () if self.local else (self._reached, socket.gethostname(), socket.getfqdn())
        self.hosts = {name.lower() for name in (*LOCAL_HOSTS, *names)}
        # Whoever connects and says nothing, or nonsense, is no fault to print.
        logging.getLogger("websockets.server").setLevel(logging.CRITICAL)
        self.pages: dict[int, Page] = {}
        with contextlib.redirect_stdout(io.StringIO()):  # it draws a box about itself
            self.viser = viser.ViserServer(host=host, port=port, label="iSeg", verbose=False)
        for message in (_messages.ShareUrlRequest, _messages.ShareUrlDisconnect):
            # A client could ask viser for a tunnel to the outside; nobody here did.
            self.viser._websock_server.unregister_handler(message)
        self.viser.gui.configure_theme(**THEME)
        self.viser._websock_server.on_client_connect(self._admit)  # before it says a word
        self.viser.on_client_connect(self._connect)
        self.viser.on_client_disconnect(self._disconnect)

    @property
    def port(self) -> int:
        return self.viser.get_port()

    @property
    def address(self) -> str:
        host = f"[{self._reached}]" if ":" in self._reached else self._reached
        return f"http://{host}:{self.port}" + (f"/?key={self.key}" if self.key else "")

    def stop(self) -> None:
        """Close all tabs' connections and the server; end what runs for them."""
        self.studio.stop()
        for page in list(self.pages.values()):
            page.close()
        with contextlib.redirect_stdout(io.StringIO()):
            self.viser.stop()

    async def _admit(self, client: WebsockClientConnection) -> None:
        connection = self.viser._websock_server._live_connections[client.client_id]
        if connection.request is None or self._is_foreign(connection.request.headers):
            await connection.close(1008, "open the page itself")

    async def _connect(self, client: viser.ClientHandle) -> None:
        page = self.pages[client.client_id] = Page(self.studio, client, self.key)
        page.start()

    def _is_foreign(self, headers) -> bool:
        """Is it a script of another web page, in a browser that can reach this server?"""
        origin, host = headers.get("Origin"), headers.get("Host", "")
        if origin is None:  # not a browser
            return False
        return urlsplit(origin).netloc != host or urlsplit(f"//{host}").hostname not in self.hosts

    async def _disconnect(self, client: viser.ClientHandle) -> None:
        page = self.pages.pop(client.client_id, None)
        if page is not None:
            page.close()


def lan_address() -> str:
    """Of this machine in its network, as others reach it; nothing is sent to find it."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        try:
            probe.connect(("192.0.2.1", 9))
            return str(probe.getsockname()[0])
        except OSError:  # no network
            return "127.0.0.1"
