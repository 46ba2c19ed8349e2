"""`python -m tests.emulator --port 8081 --account-sid AC… --auth-token …`"""

import argparse
import asyncio
import gc

import uvicorn
import uvloop
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

from tests.emulator.app import Emulator
from tests.emulator.control import Control


class Protocol(HttpToolsProtocol):
    """Lets the application end a connection without an answer, which ASGI has no word for."""

    def on_message_begin(self) -> None:
        super().on_message_begin()
        self.scope["extensions"] = {"abort": self.transport.abort}  # type: ignore[dict-item]


class Server(uvicorn.Server):
    """A server that can be away for a while: connections are refused, as by a machine that is down."""

    _returning: asyncio.Task[None] | None = None

    def go_away(self, seconds: float) -> None:
        """Closes the port and all connections; opens the port again after so many seconds."""
        for listener in self.servers:
            listener.close()
        for connection in list(self.server_state.connections):
            connection.transport.abort()
        self._returning = asyncio.get_running_loop().create_task(self._return(seconds))

    async def _return(self, seconds: float) -> None:
        await asyncio.sleep(seconds)
        await self.startup()


def main() -> None:
    """Serves until it is told to end."""
    parser = argparse.ArgumentParser(prog="python -m tests.emulator", description=__doc__)
    parser.add_argument("--port", type=int, required=True)
    parser.add_argument("--account-sid", required=True, help="AC and 32 hexadecimal digits")
    parser.add_argument("--auth-token", required=True)
    parser.add_argument("--service-number", default="+15005550006", help="what a messaging service sends from")
    parser.add_argument("--validate", action="store_true", help="hold everything against contract.json")
    given = parser.parse_args()
    emulator = Emulator(given.account_sid, given.auth_token, given.service_number, given.validate)
    server = Server(
        uvicorn.Config(
            emulator,
            port=given.port,
            http=Protocol,
            lifespan="off",
            log_level="warning",
            access_log=False,
            timeout_graceful_shutdown=1,  # a hanging answer would hold it up
            timeout_keep_alive=60,
        )
    )
    emulator.control = Control(emulator, server.go_away)
    gc.freeze()
    gc.set_threshold(50_000, 20, 20)  # the messages stay; looking for rubbish among them costs more than it frees
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(server.serve())


if __name__ == "__main__":
    main()
