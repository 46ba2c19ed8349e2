"""The primary's log, asked on a connection of its own: never an older answer than the question, and no trust lost."""

import asyncio
import contextlib
import os
import signal
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
import trustme
from bson import ObjectId, Timestamp
from pymongo import AsyncMongoClient, MongoClient, WriteConcern
from pymongo.errors import OperationFailure

from backend.core import primary
from backend.core.cache.change_stream import Following
from backend.core.primary import NoPrimary, Primary, primary_of
from backend.devtools.mongod import Mongod
from tests.infrastructure.remembered import NAME, Db, Document

URL = os.environ["MONGODB_URL"]

_PLACE = {"ts": Timestamp(5, 1), "t": 2}
_PROCESS = ObjectId()
_HELLO = {
    "isWritablePrimary": True,
    "lastWrite": {"opTime": _PLACE, "majorityOpTime": _PLACE},
    "topologyVersion": {"processId": _PROCESS},
}
TWICE = primary._message(_HELLO) * 2


@pytest.fixture(autouse=True)
def patience(monkeypatch: pytest.MonkeyPatch) -> None:
    """However busy the machine is."""
    monkeypatch.setattr(primary, "_PATIENCE_SECONDS", 20)
    monkeypatch.setattr(primary, "_CONNECT_SECONDS", 20)


@asynccontextmanager
async def a_primary(url: str = URL) -> AsyncIterator[Primary]:
    async with AsyncMongoClient[Document](url) as client, primary_of(client) as found:
        yield found


def test_whoever_asks_is_told_of_everything_written_before(collection: Db) -> None:
    async def write_and_ask(client: AsyncMongoClient[Document], of: Primary, number: int) -> None:
        notes = client[collection.name].get_collection("notes", write_concern=WriteConcern(w=1))
        for _ in range(15):
            async with client.start_session() as session:
                await notes.insert_one({"by": number}, session=session)
                log = await of.log()
                assert log is not None
                assert session.operation_time is not None
                assert log.end.at >= session.operation_time

    async def run() -> None:
        async with (
            _between(_late) as url,
            a_primary(url) as of,
            AsyncMongoClient[Document](URL) as client,
        ):
            await asyncio.gather(*(write_and_ask(client, of, number) for number in range(16)))

    asyncio.run(run())


def test_who_asks_together_shares_a_question(collection: Db) -> None:
    def asked() -> int:
        status = collection.command("serverStatus", repl=0, wiredTiger=0)
        return int(status["metrics"]["commands"]["hello"]["total"])

    async def run() -> None:
        async with a_primary() as of:
            await of.log()
            before = asked()
            for _ in range(10):
                logs = await asyncio.gather(*(of.log() for _ in range(50)))
                assert None not in logs
            assert asked() - before < 100  # drivers say hello by themselves now and then

    asyncio.run(run())


def test_an_answer_in_pieces_is_put_together() -> None:
    async def run() -> None:
        async with a_primary() as whole, _between(_in_pieces) as url, a_primary(url) as in_pieces:
            for _ in range(3):
                log, same = await whole.log(), await in_pieces.log()
                assert log is not None
                assert same is not None
                assert same.end >= log.end

    asyncio.run(run())


@pytest.mark.parametrize(
    "nonsense",
    [
        b"HTTP/1.1 400 Bad Request\r\n\r\n",
        b"\x15\0\0\0\1\0\0\0\1\0\0\0\xdd\x07\0\0\0\0\0\0\0",
        b"\x24\0\0\0\1\0\0\0\1\0\0\0\xdd\x07\0\0\0\0\0\0\0\x0f\0\0\0\x02x\0\x63\0\0\0a\0\0",
        b"\xff\xff\xff\xff" * 9,
        TWICE,
        b"",
    ],
    ids=["http", "no document", "a broken document", "a strange length", "two answers", "nothing"],
)
def test_a_server_that_talks_nonsense_is_left(nonsense: bytes, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(primary, "_PATIENCE_SECONDS", 0.5)  # some of it looks as if more were to come

    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.read(100)
        writer.write(nonsense)
        if not nonsense:
            writer.close()
        await reader.read()
        writer.close()

    async def run() -> None:
        loop = asyncio.get_running_loop()
        server = await asyncio.start_server(answer, "127.0.0.1", 0)
        port = server.sockets[0].getsockname()[1]
        _, of = await loop.create_connection(Primary, "127.0.0.1", port)
        assert await asyncio.gather(of.log(), of.log()) == [None, None]
        assert of.is_left
        assert await of.log() is None
        server.close()

    asyncio.run(run())


@pytest.mark.long
def test_an_answer_that_comes_too_late_is_nobodys(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    mongod = Mongod(tmp_path)
    url = mongod.start()
    pid = mongod.pid
    assert pid

    async def run() -> None:
        async with a_primary(url) as of:
            assert await of.log()
            monkeypatch.setattr(primary, "_PATIENCE_SECONDS", 0.5)
            os.kill(pid, signal.SIGSTOP)
            began = time.monotonic()
            while await of.log() is not None:  # a thread or two may be stopped a moment later
                assert time.monotonic() - began < 10
            os.kill(pid, signal.SIGCONT)
            assert of.is_left
            assert await of.log() is None

    try:
        asyncio.run(run())
    finally:
        os.kill(pid, signal.SIGCONT)
        mongod.release()


def test_whoever_goes_away_takes_nobodys_answer_along() -> None:
    async def run() -> None:
        async with a_primary() as of:
            tasks = [asyncio.create_task(of.log()) for _ in range(5)]
            await asyncio.sleep(0)
            for task in tasks[:2]:
                task.cancel()
            assert None not in await asyncio.gather(*tasks[2:])
            waits = asyncio.create_task(of.log())
            await asyncio.sleep(0)
        assert await waits is None  # the connection was closed

    asyncio.run(run())


@pytest.mark.long
def test_another_server_than_the_one_that_is_read_counts_for_nothing(collection: Db, tmp_path: Path) -> None:
    """As while a former primary doesn't know yet that it is none any more."""
    other = Mongod(tmp_path)

    async def is_ever_up_to_date(
        read: AsyncMongoClient[Document], waiting: AsyncMongoClient[Document]
    ) -> bool:
        following = Following(read[collection.name], {NAME: ()}, lambda _: None)
        async with following.through(waiting[collection.name]):
            since = time.monotonic()
            while not following.is_on:
                assert time.monotonic() - since < 20
                await asyncio.sleep(0.01)
            for _ in range(1000 if read is waiting else 40):
                if await following.is_up_to_date():
                    return True
                await asyncio.sleep(0.01)
        return False

    async def run(url: str) -> tuple[bool, bool]:
        async with AsyncMongoClient[Document](url) as read, AsyncMongoClient[Document](URL) as waiting:
            await asyncio.gather(read.admin.command("ping"), waiting.admin.command("ping"))
            return await is_ever_up_to_date(read, waiting), await is_ever_up_to_date(waiting, waiting)

    try:
        assert asyncio.run(run(other.start())) == (False, True)
    finally:
        other.release()


def test_only_a_primary_says_how_far_its_log_has_come() -> None:
    last = {"opTime": {"ts": Timestamp(5, 1), "t": 2}, "majorityOpTime": {"ts": Timestamp(4, 1), "t": 2}}
    hello = {"isWritablePrimary": True, "lastWrite": last, "topologyVersion": {"processId": _PROCESS}}
    assert primary._log(hello) == (_PROCESS, (2, Timestamp(5, 1)), (2, Timestamp(4, 1)))
    for other in (
        {**hello, "isWritablePrimary": False},
        {**hello, "lastWrite": {"opTime": last["opTime"]}},
        {**hello, "topologyVersion": None},
        {"isWritablePrimary": True, "msg": "isdbgrid"},
    ):
        with pytest.raises(NoPrimary):
            primary._log(other)


@pytest.mark.long
def test_it_is_asked_by_tls_and_without_a_user_where_there_are_users(
    bare_mongod: Callable[..., int], tmp_path: Path
) -> None:
    authority, key = trustme.CA(), tmp_path / "key"
    authority.cert_pem.write_to_path(str(tmp_path / "authority.pem"))
    pem = authority.issue_cert("127.0.0.1").private_key_and_cert_chain_pem
    pem.write_to_path(str(tmp_path / "server.pem"))
    key.write_text("a key that members of a set share")
    key.chmod(0o600)
    port = bare_mongod(
        *("--replSet", "rs0", "--keyFile", str(key), "--tlsMode", "requireTLS"),
        *("--tlsCertificateKeyFile", str(tmp_path / "server.pem")),
        *("--tlsCAFile", str(tmp_path / "authority.pem"), "--tlsAllowConnectionsWithoutCertificates"),
    )
    address, tls = f"127.0.0.1:{port}", f"tls=true&tlsCAFile={tmp_path / 'authority.pem'}"
    with MongoClient[Document](f"mongodb://{address}/?{tls}", directConnection=True) as client:
        members = [{"_id": 0, "host": address}]
        client.admin.command({"replSetInitiate": {"_id": "rs0", "members": members}})
        while not client.admin.command("hello")["isWritablePrimary"]:
            time.sleep(0.05)
        client.admin.command({"createUser": "clinic", "pwd": "secret", "roles": ["root"]})
        with pytest.raises(OperationFailure):
            client.admin.command("serverStatus")

    async def run() -> None:
        async with a_primary(f"mongodb://clinic:secret@{address}/?replicaSet=rs0&{tls}") as of:
            assert await of.log()

    asyncio.run(run())


Pump = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Any]


async def _in_pieces(source: asyncio.StreamReader, target: asyncio.StreamWriter) -> None:
    while data := await source.read(65536):
        for at in range(0, len(data), 100):
            target.write(data[at : at + 100])
            await asyncio.sleep(0.001)
    target.close()


async def _late(source: asyncio.StreamReader, target: asyncio.StreamWriter) -> None:
    while data := await source.read(65536):
        await asyncio.sleep(0.01)
        target.write(data)
    target.close()


@asynccontextmanager
async def _between(pump: Pump) -> AsyncIterator[str]:
    """The address of somebody who passes on what the database answers in this way."""
    host, port = "127.0.0.1", int(URL.partition("?")[0].strip("/").rpartition(":")[2])

    async def pass_on(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        far_reader, far_writer = await asyncio.open_connection(host, port)
        with contextlib.suppress(OSError):
            await asyncio.gather(_whole(reader, far_writer), pump(far_reader, writer))

    async def _whole(source: asyncio.StreamReader, target: asyncio.StreamWriter) -> None:
        while data := await source.read(65536):
            target.write(data)
        target.close()

    async with await asyncio.start_server(pass_on, host, 0) as server:
        yield f"mongodb://{host}:{server.sockets[0].getsockname()[1]}/?directConnection=true"
