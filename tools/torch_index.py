"""Prints the address from which pip should take PyTorch beside its usual index, or an empty line.

PyPI's PyTorch for Linux brings gigabytes of CUDA. PyTorch's own index has builds for CPUs, a tenth
of the size: it is named where this is Linux, no NVIDIA driver is found and the index answers in
time. Needs Python alone, because it runs before anything is installed: `python3
tools/torch_index.py`.
"""

from __future__ import annotations

import os
import shutil
import sys
import threading
import urllib.request
from collections.abc import Iterable

CPU_INDEX = "https://download.pytorch.org/whl/cpu"
# the kernel's module, its device, that of WSL
DRIVERS = (
    "/proc/driver/nvidia/version",
    "/dev/nvidiactl",
    "/dev/dxg",
)
SECONDS = 2.0


def has_driver(drivers: Iterable[str] = DRIVERS) -> bool:
    """Is there a sign of an NVIDIA driver?"""
    return any(os.path.exists(path) for path in drivers) or shutil.which("nvidia-smi") is not None


def answers(index: str, seconds: float = SECONDS) -> bool:
    """Does a package index offer torch, and say so within so many seconds, looking up its name
    included?"""
    found: list[bool] = []

    def ask():
        try:
            with urllib.request.urlopen(f"{index}/torch/", timeout=seconds) as page:
                found.append(b"torch-" in page.read(1 << 16))
        except (OSError, ValueError):
            pass  # no network, no such page, no address: there is no index

    # a name server that is silent outlasts urlopen's own limit
    asking = threading.Thread(target=ask, daemon=True)
    asking.start()
    asking.join(seconds)
    return found == [True]


def torch_index(
    index: str = CPU_INDEX, drivers: Iterable[str] = DRIVERS, platform: str = sys.platform
) -> str:
    """The address, or "" for pip's usual one."""
    return index if platform == "linux" and not has_driver(drivers) and answers(index) else ""


if __name__ == "__main__":
    print(torch_index(*sys.argv[1:2]), flush=True)
    os._exit(0)  # a thread that still waits for a name server holds up nobody
