"""Fonts for pictures that are drawn here: DejaVu, which matplotlib carries, and for signs that it
lacks, Chinese ones above all, a font of the machine.
"""

from __future__ import annotations

from functools import cache, lru_cache
from typing import TYPE_CHECKING

from tinydiff.sentences import listed

if TYPE_CHECKING:
    from matplotlib.figure import Figure

MONO = "DejaVu Sans Mono"
# fonts with Chinese, Japanese or Korean signs, or all of them, as systems have them
FAMILIES = (
    *(f"Noto Sans {kind}" for kind in ("CJK SC", "CJK TC", "CJK JP", "CJK KR", "SC", "TC", "JP")),
    *(f"Source Han Sans{kind}" for kind in ("", " SC", " CN", " TC", " HW SC")),
    *("WenQuanYi Zen Hei", "WenQuanYi Micro Hei", "Droid Sans Fallback", "AR PL UMing CN"),
    *("PingFang SC", "PingFang HK", "Hiragino Sans GB", "Heiti SC", "STHeiti", "Arial Unicode MS"),
    *("Microsoft YaHei", "SimHei", "SimSun", "Microsoft JhengHei", "Yu Gothic", "Malgun Gothic"),
)
NAMED = 5  # of signs that cannot be drawn, as many are named in a sentence


def path(sign: str, bold: bool = False) -> str:
    """The file of a font that has a sign; of DejaVu's where none has it."""
    mono = file_of(MONO, bold)
    if has(mono, sign):
        return mono
    return next((one for name in installed() if has(one := file_of(name, bold), sign)), mono)


def lend(figure: Figure) -> Figure:
    """The figure, whose texts that DejaVu lacks signs for have the fonts of the machine too."""
    from matplotlib.text import Text

    for text in figure.findobj(Text):
        if not has(file_of(MONO, False), text.get_text()):
            text.set_fontfamily(["DejaVu Sans", *installed()])
    return figure


def check(text: str) -> None:
    """Raises ValueError, in a sentence that says what to install, if no font has a sign of it."""
    lacking = [s for s in dict.fromkeys(text) if s.isprintable() and not has(path(s), s)]
    if lacking:
        raise ValueError(
            f"This machine has no font for {listed(lacking, NAMED)}: install one that has, such as "
            "Noto Sans CJK (on Debian the package fonts-noto-cjk), or export the run as HTML, "
            "which is drawn with the fonts of whoever reads it."
        )


@cache
def installed() -> tuple[str, ...]:
    """Those of FAMILIES that are here, in their order. What was installed since matplotlib made
    its list of fonts is found too."""
    from matplotlib import font_manager  # takes a while to load

    manager = font_manager.fontManager
    known = {str(entry.fname) for entry in manager.ttflist}
    for new in set(font_manager.findSystemFonts()) - known:
        try:
            manager.addfont(new)
        except (OSError, RuntimeError, ValueError):  # a file that is no font
            continue
    names = {entry.name for entry in manager.ttflist}
    return tuple(name for name in FAMILIES if name in names)


@cache
def file_of(family: str, bold: bool) -> str:
    from matplotlib import font_manager

    wanted = font_manager.FontProperties(family=family, weight="bold" if bold else "normal")
    return str(font_manager.findfont(wanted))


@lru_cache(maxsize=1 << 14)
def has(file: str, sign: str) -> bool:
    """Whether a font has a glyph for each character of a sign."""
    return all(face(file).get_char_index(ord(character)) for character in sign)


@lru_cache(maxsize=16)
def face(file: str):
    from matplotlib.ft2font import FT2Font

    return FT2Font(file)
