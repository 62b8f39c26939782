"""Where the package's own files lie, and the models and recordings beside it."""

from pathlib import Path

PACKAGE = Path(__file__).resolve().parent
# scripts, styles and templates of the page and of exported pages
STATIC = PACKAGE / "ui" / "static"
# bundled models, recordings and pictures; a package that was installed has none
ASSETS = PACKAGE.parent / "assets"
