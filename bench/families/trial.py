"""Trial of one family: its network, the engines on it, and their answers."""

import random
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from bench.families.comparison import NUM_TOKENS, Comparison, Findings, Prompts
from bench.families.driver import AnswerError, Driver, greedy
from bench.families.family import Family
from bench.families.hollow import hollow_copy
from bench.families.network import load_reference, save_network
from bench.families.oracle import Oracle
from bench.families.result import Outcome, Result
from worker.engine.interface import EngineConfig, UnsupportedModelError

SHORT_TYPES = ("bfloat16", "int8")
_NUM_NETWORKS = 3
"""Number of networks of which one must run in a shorter type: the choice of experts of a random
network is often so close that rounding changes it, which the engine's load check refuses."""
_CACHE_BYTES = 1 << 23
_FEW_TOKENS = 128
"""Tokens of a cache that is too small for two of the prompts with their answers."""


class Trial:
    """Trial of one family in a folder of its own."""

    def __init__(self, family: Family, seed: int, folder: Path) -> None:
        self._family = family
        self._seed = seed
        self._parent = folder
        self._folder = folder / "network"
        self._hollow = folder / "hollow"
        self._result = Result(family.name, Outcome.EXACT, seed=seed)
        self._findings = Findings()

    def run(self) -> Result:
        """Build, load and compare; every failure is part of the result."""
        began = time.monotonic()
        try:
            save_network(self._family, self._seed, self._folder)
            self._try_engines()
        except UnsupportedModelError as error:
            self._end(Outcome.REFUSED, str(error))
            self._result.is_early = self._refusal_of(self._hollow_folder()) == str(error)
        except AnswerError as error:
            self._end(Outcome.DIFFERS, str(error))
        except Exception as error:  # a boundary: the table has a row for each family
            self._end(Outcome.FAILED, summarize(error))
        self._result.num_ties = self._findings.num_ties
        self._result.num_distinct = len(self._findings.tokens)
        self._result.remarks = self._findings.remarks
        self._result.seconds = time.monotonic() - began
        return self._result

    def _try_engines(self) -> None:
        with self._engine() as driver:
            self._result.computed_in = driver.library
            oracle = Oracle(load_reference(self._family, self._folder))
            self._compare(driver, oracle)
        if self._result.computed_in != "torch":
            self._result.torch = self._try_torch(oracle)
        for name in SHORT_TYPES:
            self._result.short_types[name] = self._try_type(name)
        if self._findings.differences:
            self._end(Outcome.DIFFERS, "; ".join(self._findings.differences))

    def _compare(self, driver: Driver, oracle: Oracle, **settings: Any) -> None:
        prompts = Prompts(random.Random(f"prompts {self._seed} {self._family.name}"))
        comparison = Comparison(oracle, prompts, self._findings)
        comparison.run(driver)
        few = driver.cache_bytes_for(_FEW_TOKENS, _CACHE_BYTES)
        if few is None:
            self._findings.remarks.append("never short of blocks")
            return
        with self._engine(kv_cache_bytes=few, max_batch_tokens=24, **settings) as tight:
            comparison.run_preempted(tight)

    def _try_torch(self, oracle: Oracle) -> str:
        num_differences = len(self._findings.differences)
        try:
            with self._engine(forward="torch") as driver:
                self._compare(driver, oracle, forward="torch")
        except UnsupportedModelError as error:
            return f"refused: {error}"
        return "exact" if len(self._findings.differences) == num_differences else "differs"

    def _try_type(self, name: str) -> str:
        """Run a few tokens in a shorter type, whose rounding may choose others than float32."""
        refusal = ""
        for number in range(_NUM_NETWORKS):
            try:
                with self._engine(folder=self._network(number), dtype=name) as driver:
                    driver.run([greedy(name, [1, 2, 3, 4, 5], NUM_TOKENS)])
            except UnsupportedModelError as error:
                refusal = f"refused: {error}"
            else:
                return "runs"
        return refusal

    def _network(self, number: int) -> Path:
        """Return the folder of one of the family's networks, the first of which is compared."""
        if not number:
            return self._folder
        folder = self._parent / f"network-{number}"
        if not folder.exists():
            save_network(self._family, self._seed + number, folder)
        return folder

    def _refusal_of(self, folder: Path) -> str:
        """Return the text with which the engine refuses a folder, or an empty one."""
        try:
            Driver(self._config(folder)).stop()
        except UnsupportedModelError as error:
            return str(error)
        except Exception:  # a boundary: any other failure is no refusal
            return ""
        return ""

    def _hollow_folder(self) -> Path:
        hollow_copy(self._folder, self._hollow)
        return self._hollow

    @contextmanager
    def _engine(self, **settings: Any) -> Iterator[Driver]:
        driver = Driver(self._config(**{"folder": self._folder} | settings))
        try:
            yield driver
        finally:
            driver.stop()

    def _config(self, folder: Path, **settings: Any) -> EngineConfig:
        usual: dict[str, Any] = {
            **{"folder": folder, "kv_cache_bytes": _CACHE_BYTES, "max_sequences": 8},
            **{"dtype": "float32", "device": "cpu", "num_threads": 1},
            **{"graph_folder": folder.with_name(f"{folder.name}-graphs")},
        }
        return EngineConfig(**usual | settings)

    def _end(self, outcome: Outcome, text: str) -> None:
        self._result.outcome, self._result.text = outcome, text


def summarize(error: BaseException) -> str:
    """Return an error on one line, cut to 300 characters."""
    return f"{type(error).__name__}: {' '.join(str(error).split())}"[:300]
