"""What the supervisor shows: a moving bar for each step on a terminal, plain lines elsewhere."""

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn

_MB = 1_000_000


class StepConsole:
    """Prints each step as it ends; on a terminal also that it is going on."""

    def __init__(self, console: Console) -> None:
        self._console = console

    @contextmanager
    def step(self, text: str) -> Iterator[Callable[[int, int], None]]:
        """Show that `text` goes on, and how long it took once it is over.

        Yields a function that shows how many bytes are there, of how many.
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
        """Print the text as it is: neither wrapped nor taken for markup, so it can be copied."""
        self._console.print(text, markup=False, highlight=False, soft_wrap=True)
