"""All recorded first views anew: python -m tinydiff.ui.recordings, or some of them by their names;
`python -m tinydiff released` makes them and all else that depends on the bundled models.

They are made in float32, in which every machine writes the same text for the same seed, and
assets/recorded/made.json keeps of which weights they are. Race and Train show real durations:
record them on a quiet machine.
"""

from __future__ import annotations

import sys

from tinydiff.nets.precision import auto_is_fp32
from tinydiff.ui import story
from tinydiff.ui.tabs import TABS

RECORDINGS = {
    {"denoise": "example"}.get(tab.name, tab.name): tab.record for tab in TABS if tab.record
} | {story.NAME: story.record}


def main(names: list[str]) -> int:
    """Record what is named, or everything."""
    if unknown := [name for name in names if name not in RECORDINGS]:
        print(
            f"There is no recording {unknown[0]!r}; there are {', '.join(RECORDINGS)}.",
            file=sys.stderr,
        )
        return 1
    with auto_is_fp32():
        for name in names or RECORDINGS:
            print(f"{name} ...", flush=True)
            RECORDINGS[name]()
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
