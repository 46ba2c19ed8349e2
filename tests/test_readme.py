"""The README's walk-through is carried out as it stands, against a server with bookable cardiologists."""

import os
import re
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest

from backend.directory.documents import Clinic
from backend.scheduling.slots.slot_sync import reconcile
from tests import factories
from tests.factories import Run

README = Path(__file__).parent.parent / "README.md"


@pytest.mark.skipif(not shutil.which("curl"), reason="there is no curl here")
def test_the_first_booking_works_when_pasted_line_by_line(run: Run[Any], base_url: str, clinic: Clinic) -> None:
    doctor = factories.make_doctor(run, clinic, specialty="Cardiology")
    run(reconcile(doctor.object_id))
    block = re.search(r"```sh\n(.*?)```", README.read_text(), re.DOTALL)
    assert block is not None
    script = block.group(1).replace("http://localhost:8000", base_url)
    environment = {**os.environ, "no_proxy": "*"}
    done = subprocess.run(
        ["bash", "-eu", "-c", script],
        check=False,
        capture_output=True,
        text=True,
        timeout=60,
        env=environment,
    )
    assert done.returncode == 0, done.stderr
    assert "error_code" not in done.stdout, done.stdout
    assert '"status":"cancelled"' in done.stdout
    assert [
        step in done.stdout for step in ('"transition":"book"', '"transition":"reschedule"', '"transition":"cancel"')
    ] == [True] * 3
