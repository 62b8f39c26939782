"""Mistakes of whoever types a command: one sentence, and the exit status of the program."""

from __future__ import annotations

import argparse
import os
import re
import sys
from collections.abc import Callable

import torch

from tinydiff.sentences import say, sentence
from tinydiff.train.loop import TrainingError


class Parser(argparse.ArgumentParser):
    """Answers a mistake in one sentence."""

    def parse_args(self, args=None, namespace=None):
        args = sys.argv[1:] if args is None else args
        for word_ in args:
            if re.fullmatch(r"-[^=]*=--", word_):  # argparse would hand on an empty list
                self.error(f"the value of {word_[:-3]} cannot be --")
        return super().parse_args(args, namespace)

    def error(self, message):
        say(
            f"{self.prog}: {sentence(message)}; `{self.prog} --help` lists what there is.",
            sys.stderr,
        )
        self.exit(2)


def guarded(command: Callable[[], int | None]) -> int:
    """The exit status of a command: 0, or 2 and one sentence on stderr, or 130 when it was
    interrupted."""
    try:
        return command() or 0
    except (
        BrokenPipeError
    ):  # whoever read our output has enough; Python must not flush into the broken pipe again
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 0
    except (ValueError, TrainingError, OSError) as error:
        say(sentence(error), sys.stderr)
        return 2
    except (MemoryError, RuntimeError) as error:
        if not is_memory(error):
            raise
        say(
            "This machine has not the memory for that: make the text, the batch or the "
            "network smaller.",
            sys.stderr,
        )
        return 2
    except KeyboardInterrupt:
        say("Stopped.", sys.stderr)
        return 130


def is_memory(error: Exception) -> bool:
    """Did an allocation fail? torch says so of the CPU in words alone."""
    return isinstance(
        error, (MemoryError, torch.OutOfMemoryError)
    ) or "can't allocate memory" in str(error)
