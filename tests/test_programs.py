"""Programs under test begin and end as those of a fresh Python."""

import subprocess
import sys

import pytest

from tests import programs

ENDS = {
    "return": "print('said')",
    "status": "import sys; sys.exit(3)",
    "sentence": "import sys; sys.exit('A sentence.')",
    "error": "print('said'); raise ValueError('broken')",
    "at exit": "import atexit; atexit.register(print, 'last')",
    "thread": "import threading, time\n"
    "threading.Thread(target=lambda: (time.sleep(0.1), print('later'))).start()",
}


def test_torch_is_there():
    """Nobody waits for it again: it is loaded before a program begins, and nothing of ours is."""
    loaded = programs.run("-c", "import sys; print(*sys.modules)").stdout.split()
    assert "torch._dynamo" in loaded
    assert not {"tinydiff", "gradio", "huggingface_hub"} & {*loaded}


def test_temporary_files_lie_where_its_environment_says(tmp_path):
    """And not where torch has found a place for them before."""
    ours = programs.run(
        "-c", "import tempfile; print(tempfile.gettempdir())", env={"TMPDIR": str(tmp_path)}
    )
    assert ours.stdout == f"{tmp_path}\n"


@pytest.mark.parametrize("code", ENDS.values(), ids=ENDS)
def test_it_ends_as_python_ends(code):
    """Status, what was said last and what was printed are those of `python -c`."""
    ours = programs.run("-c", code)
    plain = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert (ours.returncode, ours.stdout) == (plain.returncode, plain.stdout)
    assert ours.stderr.splitlines()[-1:] == plain.stderr.splitlines()[-1:]
