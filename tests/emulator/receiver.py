"""An application in the place of ours, which only remembers what webhooks tell it."""

from dataclasses import dataclass

from fastapi import FastAPI, Request, Response

from tests.support.servers import ServerThread


@dataclass(frozen=True)
class Heard:
    """One webhook."""

    url: str
    parameters: dict[str, str]
    signature: str


class Receiver:
    """Listens under `/hook`; answers `twiml`."""

    def __init__(self) -> None:
        app = FastAPI()
        app.post("/hook")(self._hear)
        self._server = ServerThread(app, lifespan="off")
        self.url = f"{self._server.base_url}/hook"
        self.forget()

    def forget(self) -> None:
        self.heard: list[Heard] = []
        self.twiml = "<Response/>"
        self.media_type = "text/xml"

    def start(self) -> None:
        self._server.start()

    def stop(self) -> None:
        self._server.stop()

    async def _hear(self, request: Request) -> Response:
        form = {name: str(value) for name, value in (await request.form()).items()}
        self.heard.append(Heard(str(request.url), form, request.headers["X-Twilio-Signature"]))
        return Response(self.twiml, media_type=self.media_type)
