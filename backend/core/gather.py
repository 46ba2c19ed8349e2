"""What many ask the database for in the same turn of the event loop, asked for once.

A command costs driver and server far more than one more document in it. Alone, a question goes out as it is, at once;
in a rush those that come together stay together, from one question of their requests to the next. Each is asked after
it was put, and nothing is kept: nobody gets an older answer than by asking alone.
"""

import asyncio
from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import Any, Generic, NamedTuple, TypeVar
from weakref import WeakKeyDictionary

from pymongo.asynchronous.collection import AsyncCollection
from pymongo.errors import BulkWriteError, DuplicateKeyError, OperationFailure, PyMongoError

Q = TypeVar("Q")
A = TypeVar("A")
Document = dict[str, Any]
Collection = AsyncCollection[Document]

_MOST = 16
"""Questions of one command. With all of a rush in one, database and process would wait for each other by turns."""
_MOST_PAGES = 8

_DUPLICATE_KEY = 11000
_OF = "of"


class Gathered(Generic[Q, A]):
    """Answers questions through a function that takes several at once."""

    def __init__(
        self, answer_all: Callable[[Sequence[Q]], Awaitable[Sequence[A | Exception]]], *, most: int = _MOST
    ) -> None:
        self._answer_all, self._most = answer_all, most
        self._waiting: WeakKeyDictionary[asyncio.AbstractEventLoop, list[tuple[Q, asyncio.Future[A]]]] = (
            WeakKeyDictionary()
        )
        self._tasks: set[asyncio.Task[None]] = set()

    async def ask(self, question: Q) -> A:
        """The answer. Raises what the function raises, or names as this question's answer."""
        loop = asyncio.get_running_loop()
        answer: asyncio.Future[A] = loop.create_future()
        waiting = self._waiting.setdefault(loop, [])
        waiting.append((question, answer))
        if len(waiting) == 1:
            task = loop.create_task(self._answer_those_waiting(loop))
            self._tasks.add(task)
            task.add_done_callback(self._tasks.discard)
        return await answer

    async def _answer_those_waiting(self, loop: asyncio.AbstractEventLoop) -> None:
        asked = self._waiting.pop(loop)
        parts = [asked[at : at + self._most] for at in range(0, len(asked), self._most)]
        await asyncio.gather(*map(self._answer, parts))

    async def _answer(self, asked: Sequence[tuple[Q, "asyncio.Future[A]"]]) -> None:
        try:
            answers = await self._answer_all([question for question, _ in asked])
        except PyMongoError as error:
            answers = [error] * len(asked)
        except Exception as error:
            if len(asked) > 1:  # one of them can't be put to the database at all: nothing was sent yet
                await asyncio.gather(*(self._answer([each]) for each in asked))
                return
            answers = [error]
        for (_, future), answer in zip(asked, answers, strict=True):
            if future.done():
                continue  # whoever asked has gone away
            if isinstance(answer, Exception):
                future.set_exception(answer)
            else:
                future.set_result(answer)


def reads_by_id(collection: Callable[[], Collection]) -> Gathered[Any, Document | None]:
    """Finds documents by their ids; None where there is none."""

    async def find(ids: Sequence[Any]) -> Sequence[Document | None]:
        if len(ids) == 1:
            return [await collection().find_one({"_id": ids[0]})]
        found = await collection().find({"_id": {"$in": list(set(ids))}}).to_list()
        by_id = {document["_id"]: document for document in found}
        return [by_id.get(wanted) for wanted in ids]

    return Gathered(find)


class Find(NamedTuple):
    """A page of what a query finds."""

    where: Mapping[str, Any]
    fields: Mapping[str, Any]
    sort: Mapping[str, int]
    limit: int

    def stages(self, number: int) -> list[Document]:
        """The same for one among several: each row tells in `of` which one found it."""
        return [
            {"$match": self.where},
            {"$sort": self.sort},
            {"$limit": self.limit},
            {"$project": {**self.fields, _OF: {"$literal": number}}},
        ]


def finds(collection: Callable[[], Collection]) -> Gathered[Find, list[Document]]:
    """Finds pages of documents of one collection."""

    async def find(wanted: Sequence[Find]) -> Sequence[list[Document]]:
        if len(wanted) == 1:
            where, fields, sort, limit = wanted[0]
            return [await collection().find(where, fields).sort(list(sort.items())).limit(limit).to_list()]
        first, *others = (each.stages(number) for number, each in enumerate(wanted))
        pipeline = [
            *first,
            *({"$unionWith": {"coll": collection().name, "pipeline": each}} for each in others),
        ]
        most = sum(each.limit for each in wanted)
        rows = await (await collection().aggregate(pipeline, batchSize=most + 1)).to_list()
        found: list[list[Document]] = [[] for _ in wanted]
        for row in rows:
            found[row.pop(_OF)].append(row)
        return found

    return Gathered(find, most=_MOST_PAGES)


def inserts(collection: Callable[[], Collection]) -> Gathered[Document, None]:
    """Inserts documents, each by itself: the indexes refuse one with `DuplicateKeyError`, and take the next."""

    async def insert(documents: Sequence[Document]) -> Sequence[Exception | None]:
        if len(documents) == 1:
            await collection().insert_one(documents[0])
            return [None]
        try:
            await collection().insert_many(documents, ordered=False)
        except BulkWriteError as error:
            if error.details["writeConcernErrors"]:
                raise
            faults = {fault["index"]: _refusal(fault) for fault in error.details["writeErrors"]}
            return [faults.get(number) for number in range(len(documents))]
        return [None] * len(documents)

    return Gathered(insert)


def _refusal(fault: Document) -> OperationFailure:
    """The error that inserting the document alone would have raised, without the document: that is private."""
    details = {name: value for name, value in fault.items() if name != "op"}
    kind = DuplicateKeyError if fault["code"] == _DUPLICATE_KEY else OperationFailure
    return kind(fault["errmsg"], fault["code"], details)
