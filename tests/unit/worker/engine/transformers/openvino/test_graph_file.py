from pathlib import Path

import numpy as np
import pytest

from tests.unit.worker.engine.transformers.openvino.conftest import ReadNetwork, logits_of, matrices
from worker.engine.interface import EngineConfig
from worker.engine.transformers.openvino.conversion.convert import convert
from worker.engine.transformers.openvino.graph_file import read_graph, write_graph


def test_a_graph_that_was_written_and_read_gives_the_same_logits(
    config: EngineConfig, read: ReadNetwork
) -> None:
    fresh = logits_of(convert(config))

    assert np.array_equal(logits_of(read()), fresh)


def test_a_graph_can_be_written_again(read: ReadNetwork, tmp_path: Path) -> None:
    network = read()
    expected = logits_of(network)

    write_graph(read().graph, tmp_path / "graph.xml")

    object.__setattr__(network, "graph", read_graph(tmp_path / "graph.xml"))
    assert np.array_equal(logits_of(network), expected)


def test_weights_are_written_in_their_own_type(read: ReadNetwork) -> None:
    types = {constant.get_element_type().get_type_name() for constant in matrices(read())}

    assert "f32" in types
    assert "f16" not in types


@pytest.mark.parametrize("content", ["", "<net>"])
def test_a_file_that_is_no_graph_is_an_error(tmp_path: Path, content: str) -> None:
    (tmp_path / "graph.xml").write_text(content)
    (tmp_path / "graph.bin").write_bytes(b"")

    with pytest.raises(RuntimeError):
        read_graph(tmp_path / "graph.xml")
