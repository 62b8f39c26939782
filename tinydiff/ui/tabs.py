"""The tabs of the page in their order: another one is a file with a `TAB`, and its name here."""

from tinydiff.ui import (
    blocks,
    claims,
    denoise,
    families,
    learn,
    noise,
    race,
    real,
    rewrite,
    steps,
    training,
)

TABS = [
    module.TAB
    for module in (
        denoise,
        steps,
        race,
        blocks,
        real,
        rewrite,
        claims,
        noise,
        learn,
        training,
        families,
    )
]
