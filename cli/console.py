"""What the supervisor shows: a moving bar for each step on a terminal, plain lines elsewhere."""

import time
from collections.abc import Iterator
from contextlib import contextmanager

from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn


class StepConsole:
    """Prints each step as it ends; on a terminal also that it is going on."""

    def __init__(self, console: Console) -> None:
        self._console = console

    @contextmanager
    def step(self, text: str) -> Iterator[None]:
        """Show that `text` goes on, and how long it took once it is over."""
        started = time.monotonic()
        if self._console.is_terminal:
            columns = (TextColumn("{task.description}"), BarColumn(), TimeElapsedColumn())
            with Progress(*columns, console=self._console, transient=True) as progress:
                progress.add_task(text, total=None)
                yield
        else:
            self.say(f"{text} …")
            yield
        self.say(f"✓ {text} ({time.monotonic() - started:.1f} s)")

    def say(self, text: str) -> None:
        """Print the text as it is: neither wrapped nor taken for markup, so it can be copied."""
        self._console.print(text, markup=False, highlight=False, soft_wrap=True)
