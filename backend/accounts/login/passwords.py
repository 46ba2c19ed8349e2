"""Passwords: which are valid, and their Argon2id hashes, which are never computed on the event loop."""

import asyncio
import os
import threading
import unicodedata
from concurrent.futures import ThreadPoolExecutor
from typing import Annotated, Any

from passlib.hash import argon2
from pydantic import PlainValidator, SecretStr, WithJsonSchema

SHORTEST = 8
LONGEST = 128

# OWASP's first choice of parameters: 19 MiB, two passes. About 30 ms of one core.
_argon2id = argon2.using(type="ID", time_cost=2, memory_cost=19_456, parallelism=1)

_NICENESS = 10
"""Of 19. Hashing gives way to requests on a busy machine, and takes no longer on an idle one."""


def _yield_to_requests() -> None:
    """Lowers the priority of the calling thread, where the system knows priorities of threads (Linux)."""
    try:
        os.setpriority(os.PRIO_PROCESS, threading.get_native_id(), _NICENESS)
    except (AttributeError, OSError):
        return


# One core stays free for the event loop. Passwords to hash wait here in a queue.
_hashers = ThreadPoolExecutor(
    max_workers=max(1, (os.cpu_count() or 1) - 1), thread_name_prefix="argon2", initializer=_yield_to_requests
)


def _storable(value: Any) -> str:
    """Returns the text of a password. Raises `ValueError`, which never repeats it."""
    if isinstance(value, SecretStr):
        value = value.get_secret_value()
    if not isinstance(value, str):
        raise ValueError("must be a text")
    if any(unicodedata.category(c) in ("Cc", "Cs") for c in value):
        raise ValueError("must not hold control characters")
    if len(value) > LONGEST:
        raise ValueError(f"must have at most {LONGEST} characters")
    return value


def _new(value: Any) -> SecretStr:
    text = _storable(value)
    if len(text) < SHORTEST:
        raise ValueError(f"must have at least {SHORTEST} characters")
    return SecretStr(text)


def _given(value: Any) -> SecretStr:
    return SecretStr(_storable(value))


def _schema(**more: Any) -> WithJsonSchema:
    return WithJsonSchema({"type": "string", "format": "password", "writeOnly": True, "maxLength": LONGEST, **more})


Password = Annotated[
    SecretStr,
    PlainValidator(_new),
    _schema(minLength=SHORTEST, description="8 to 128 characters of any kind but control characters."),
]
"""A password to be set. Spaces count, outer ones too. Its text representation shows asterisks."""

GivenPassword = Annotated[SecretStr, PlainValidator(_given), _schema(description="The password.")]
"""A password to be compared. It may be shorter than a new one."""


def _bytes(plain: str) -> bytes:
    """Returns the same bytes however a keyboard composes accents (NFKC, as NIST SP 800-63B advises)."""
    return unicodedata.normalize("NFKC", plain).encode()


def _hash(plain: str) -> str:
    return str(_argon2id.hash(_bytes(plain)))


def _verify(plain: str, stored: str) -> bool:
    return bool(_argon2id.verify(_bytes(plain), stored))


# The hash of random bytes. A password is compared with it where there is no hash to compare it with.
_NOBODYS_HASH = str(_argon2id.hash(os.urandom(32)))


async def hash_password(plain: str) -> str:
    """Returns the Argon2id hash to store."""
    return await asyncio.get_running_loop().run_in_executor(_hashers, _hash, plain)


async def verify_password(plain: str, stored: str | None) -> bool:
    """Returns whether the hash is of this password. Without a hash it takes as long, and returns False."""
    found = await asyncio.get_running_loop().run_in_executor(_hashers, _verify, plain, stored or _NOBODYS_HASH)
    return found and stored is not None


def needs_rehash(stored: str) -> bool:
    """Returns whether the hash was made with other parameters than today's."""
    return bool(_argon2id.needs_update(stored))
