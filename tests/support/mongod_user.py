"""A process that uses an embedded MongoDB: `python -m tests.support.mongod_user FOLDER`. SIGTERM ends it well."""

import signal
import sys
from pathlib import Path

from backend.devtools.mongod import Mongod

mongod = Mongod(Path(sys.argv[1]))
signal.signal(signal.SIGTERM, lambda *_: sys.exit())
url = mongod.start()
try:
    sys.stdout.write(f"{mongod.pid} {url}\n")
    sys.stdout.flush()
    signal.pause()
finally:
    mongod.release()
