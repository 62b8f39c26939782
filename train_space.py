# /// script
# requires-python = ">=3.10,<3.13"
# dependencies = [
#   "torch==2.13.0",
#   "gradio>=6.31,<7",
#   "huggingface_hub>=1.16,<3",
#   "fastapi>=0.115,<1",
#   "starlette>=0.40,<2",
#   "httpx>=0.27,<1",
#   "matplotlib>=3.9,<4",
#   "accelerate>=1.5,<2",
#   "safetensors>=0.5,<1",
#   "tokenizers>=0.21,<1",
#   "outlines-core>=0.2.14,<0.3",
#   "numpy>=1.26,<3",
#   "pandas>=2,<4",
#   "pillow>=10.3,<13",
#   "rich>=13,<16",
#   "segno>=1.6,<2",
#   "anyio>=4,<5",
#   "vaderSentiment>=3.3,<4",
#   "pyarrow>=15",
# ]
# ///
"""Train a model and, if asked, push it to the Hugging Face Hub.

As a command, on one processor or, under `accelerate launch`, on many:

    python train_space.py --preset small --corpus tiny_shakespeare.txt --push-to user/name

As the app of a training Space, which starts it by itself, with the flags in the variable
TINYDIFF_TRAIN; `--app` is the same page elsewhere. As a job of the Hub, where this file is alone
and takes the rest from the Space that TINYDIFF_SPACE names:

    hf jobs uv run --secrets HF_TOKEN -e TINYDIFF_SPACE=user/tinydiff train_space.py \\
        --preset small --push-to user/name

Ctrl-C or SIGTERM saves; `--resume --out FOLDER` goes on as if it had never stopped.
"""

from __future__ import annotations

import importlib.util
import os
import shlex
import sys
import tempfile


def main(argv: list[str] | None = None) -> int:
    """Train as the flags say; the exit status."""
    if not importlib.util.find_spec("tinydiff"):
        sys.path.insert(0, code())
    from tinydiff import plugins
    from tinydiff.cli import errors, flags, training

    parser = errors.Parser(
        prog="train_space.py", description="Train a model of text; every flag has a default."
    )
    parser.add_argument(
        "--app", action="store_true", help="show the training on a page, as a training Space does"
    )
    parser.add_argument("--plugins", metavar="FOLDER", help=plugins.ABOUT)
    flags.train_flags(parser)
    folder, words = plugins.folder_of(command_line() if argv is None else argv)
    if (status := errors.guarded(lambda: plugins.load(folder) and None)) != 0:
        return status
    args = parser.parse_args(words)
    if args.app:
        from tinydiff.ui import trainer

        args.resume = True
        return errors.guarded(
            lambda: trainer.serve(args, lambda: training.fetched_config(args), training.evaluated)
        )
    return errors.guarded(lambda: training.train_command(args, "python train_space.py"))


def command_line() -> list[str]:
    """What stands on the command line; on a Space, where nothing does, what TINYDIFF_TRAIN
    holds."""
    if "SPACE_ID" in os.environ and not sys.argv[1:]:
        return ["--app", *shlex.split(os.environ.get("TINYDIFF_TRAIN", ""))]
    return sys.argv[1:]


def code() -> str:
    """The folder of the project's code, from the Space that TINYDIFF_SPACE names; ends the program
    if there is none."""
    from huggingface_hub import snapshot_download
    from huggingface_hub.errors import HfHubHTTPError, HFValidationError

    space = os.environ.get("TINYDIFF_SPACE", "")
    try:
        return snapshot_download(
            space, repo_type="space", local_dir=tempfile.mkdtemp(prefix="tinydiff-")
        )
    except (HfHubHTTPError, HFValidationError, OSError) as error:
        sys.exit(
            f"There is no tinydiff beside this file, and none in the Space {space!r} "
            f"({type(error).__name__}): "
            "set TINYDIFF_SPACE to one, as user/name."
        )


if __name__ == "__main__":
    sys.exit(main())
