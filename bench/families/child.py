"""A trial in a process of its own, with limits of time and memory."""

import os
import resource
from multiprocessing import get_context
from multiprocessing.connection import Connection
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from bench.families.family import Family
from bench.families.result import Outcome, Result

_MAX_BYTES = 8 << 30
_JOIN_S = 10.0


def try_in_child(family: Family, seed: int, timeout_s: float) -> Result:
    """Return the result of a family, also if its process crashes or does not end in time."""
    # Its server imports the libraries once, before it starts threads; each child begins with them.
    context = get_context("forkserver")
    context.set_forkserver_preload(["bench.families.trial"])
    # Read by the libraries when they are imported.
    os.environ |= {"HF_HUB_OFFLINE": "1", "OMP_NUM_THREADS": "1"}
    receiver, sender = context.Pipe(duplex=False)
    with TemporaryDirectory(prefix="family-") as folder:
        child = context.Process(target=_run, args=(family, seed, Path(folder), sender))
        child.start()
        sender.close()
        try:
            if not receiver.poll(timeout_s):
                return _failure(family, seed, f"no end within {timeout_s:.0f} s")
            result: Result = receiver.recv()
            child.join(_JOIN_S)
        except EOFError:
            return _failure(family, seed, "its process died")
        else:
            return result
        finally:
            child.kill()
            child.join()


def _failure(family: Family, seed: int, text: str) -> Result:
    return Result(family.name, Outcome.FAILED, text, seed=seed)


def _run(family: Family, seed: int, folder: Path, sender: Connection) -> None:
    resource.setrlimit(resource.RLIMIT_DATA, (_MAX_BYTES, _MAX_BYTES))
    # Imported here, so that the parent needs none of it.
    import logging

    import torch
    from transformers.utils import logging as transformers_logging

    from bench.families.trial import Trial

    logging.disable()
    logger: Any = transformers_logging
    logger.set_verbosity_error()
    logger.disable_progress_bar()
    torch.set_num_threads(1)
    sender.send(Trial(family, seed, folder).run())
