"""Console output of the supervisor: a progress bar per step on a terminal, else plain lines."""

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn

_MB = 1_000_000


class StepConsole:
    """Console that prints each completed step and, on a terminal, a progress bar until then."""

    def __init__(self, console: Console) -> None:
        self._console = console

    @contextmanager
    def step(self, text: str) -> Iterator[Callable[[int, int], None]]:
        """Show the step `text` as in progress, and its duration once it has ended.

        Yields a progress callback that takes the bytes done and the total, 0 if unknown.
        """
        started = time.monotonic()
        if self._console.is_terminal:
            size = TextColumn("{task.fields[size]}")
            columns = (TextColumn("{task.description}"), BarColumn(), size, TimeElapsedColumn())
            with Progress(*columns, console=self._console, transient=True) as progress:
                task = progress.add_task(text, total=None, size="")

                def advance(done: int, total: int) -> None:
                    size = f"{done / _MB:.0f} of {total / _MB:.0f} MB"
                    progress.update(task, completed=done, total=total or None, size=size)

                yield advance
        else:
            self.say(f"{text} …")
            yield lambda done, total: None
        self.say(f"✓ {text} ({time.monotonic() - started:.1f} s)")

    def say(self, text: str) -> None:
        """Print the text verbatim, neither wrapped nor parsed as markup, so it can be copied."""
        self._console.print(text, markup=False, highlight=False, soft_wrap=True)
