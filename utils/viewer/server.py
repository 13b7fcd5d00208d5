"""The web server: a page for every browser tab, and nothing for anyone else."""

from __future__ import annotations

import contextlib
import io
import warnings
from urllib.parse import urlsplit

import viser
from viser import _messages

from utils.viewer.page import Page
from utils.viewer.studio import Studio

LOCAL_HOSTS = ("127.0.0.1", "localhost", "::1")
# What a page still says to a tab that is being closed is lost, and may be.
warnings.filterwarnings("ignore", message="Queued a .* on a closed connection")


class Server:
    """Serves a studio at an address; the next free port is taken if that one is in use.

    pages  by the ids of their clients
    """

    def __init__(self, studio: Studio, host: str = "127.0.0.1", port: int = 8080) -> None:
        self.studio, self.local = studio, host in LOCAL_HOSTS
        self.pages: dict[int, Page] = {}
        with contextlib.redirect_stdout(io.StringIO()):  # it draws a box about itself
            self.viser = viser.ViserServer(host=host, port=port, label="iSeg", verbose=False)
        for message in (_messages.ShareUrlRequest, _messages.ShareUrlDisconnect):
            # A client could ask viser for a tunnel to the outside; nobody here did.
            self.viser._websock_server.unregister_handler(message)
        self.viser.gui.configure_theme(
            control_width="medium", show_share_button=False, show_logo=False, brand_color=(41, 102, 219)
        )
        self.viser.on_client_connect(self._connect)
        self.viser.on_client_disconnect(self._disconnect)

    @property
    def port(self) -> int:
        return self.viser.get_port()

    def stop(self) -> None:
        """Close all tabs' connections and the server; end what runs for them."""
        self.studio.stop()
        for page in list(self.pages.values()):
            page.close()
        with contextlib.redirect_stdout(io.StringIO()):
            self.viser.stop()

    async def _connect(self, client: viser.ClientHandle) -> None:
        connection = self.viser._websock_server._live_connections[client.client_id]
        if connection.request is None or self._is_foreign(connection.request.headers):
            await connection.close(1008, "open the page itself")
            return
        page = self.pages[client.client_id] = Page(self.studio, client)
        page.start()

    def _is_foreign(self, headers) -> bool:
        """Is it a script of another web page, in a browser that can reach this server?"""
        origin, host = headers.get("Origin"), headers.get("Host", "")
        if origin is None:  # not a browser
            return False
        return urlsplit(origin).netloc != host or (self.local and urlsplit(f"//{host}").hostname not in LOCAL_HOSTS)

    async def _disconnect(self, client: viser.ClientHandle) -> None:
        page = self.pages.pop(client.client_id, None)
        if page is not None:
            page.close()
