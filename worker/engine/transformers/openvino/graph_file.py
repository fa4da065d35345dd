"""Graph files with `PagedAttention` nodes, in OpenVINO's IR format: an .xml file and a .bin file.

OpenVINO writes such a node but does not read it back, and drops its runtime information. So each
is stored as a `StoredAttention`, a custom operation that has this information as attributes.
"""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import openvino

from worker.engine.transformers.openvino.paged_attention import HeadSizes, attention_node

_NODE = "PagedAttentionExtension"
_SIZES = {"num_heads": "num_k_heads", "key_size": "k_head_size", "value_size": "v_head_size"}
"""Fields of `HeadSizes` and their names in the plugin's runtime information."""


class StoredAttention(openvino.Op):  # type: ignore[misc]
    """Placeholder of a `PagedAttention` node in a file; it computes nothing."""

    class_type_info = openvino.DiscreteTypeInfo("StoredAttention", "antiphon")

    def __init__(
        self, inputs: list[Any] | None = None, sizes: dict[str, int] | None = None
    ) -> None:
        super().__init__(self)
        self.sizes = sizes or dict.fromkeys(_SIZES, 0)
        if inputs is not None:
            self.set_arguments(inputs)
            self.constructor_validate_and_infer_types()

    def validate_and_infer_types(self) -> None:
        """Set the output's type to that of the queries, and its shape to two dynamic dimensions."""
        self.set_output_type(0, self.get_input_element_type(0), openvino.PartialShape([-1, -1]))

    def clone_with_new_inputs(self, inputs: list[Any]) -> "StoredAttention":
        """Return the same operation with other inputs."""
        return StoredAttention(inputs, self.sizes)

    def visit_attributes(self, visitor: Any) -> bool:
        """Serialize or deserialize the sizes, depending on the visitor."""
        visitor.on_attributes(self.sizes)
        return True

    def get_type_info(self) -> Any:
        """Return the type under which files name the operation."""
        return StoredAttention.class_type_info


def write_graph(model: openvino.Model, file: Path) -> None:
    """Write the model to `file` (.xml) and its .bin; the model cannot be compiled afterwards.

    Raises `OSError` if the files cannot be written, for example on a full disk.
    """

    def make_stored(node: Any, inputs: list[Any]) -> Any:
        info = node.get_rt_info()
        return StoredAttention(inputs, {ours: _to_int(info[name]) for ours, name in _SIZES.items()})

    _replace_nodes(model, _NODE, make_stored)
    try:
        openvino.save_model(model, file, compress_to_fp16=False)
    except RuntimeError as error:
        raise OSError(f"{file} cannot be written: {error}") from error


def read_graph(file: Path) -> openvino.Model:
    """Return a graph that `write_graph` wrote; weights stay in the file until they are needed.

    Raises `RuntimeError` for a damaged file.
    """
    core = openvino.Core()
    core.add_extension(StoredAttention)
    model = core.read_model(file)

    def make_attention(node: Any, inputs: list[Any]) -> Any:
        attributes = node.get_attributes()
        return attention_node(inputs, HeadSizes(*(int(attributes[name]) for name in _SIZES)))

    _replace_nodes(model, "StoredAttention", make_attention)
    return model


def _replace_nodes(model: openvino.Model, kind: str, make: Callable[[Any, list[Any]], Any]) -> None:
    for node in [node for node in model.get_ops() if node.get_type_name() == kind]:
        new = make(node, [node.input_value(index) for index in range(node.get_input_size())])
        for target in list(node.output(0).get_target_inputs()):
            target.replace_source_output(new.output(0))
    model.validate_nodes_and_infer_types()


def _to_int(value: Any) -> int:
    """Return a value of runtime information, which may be wrapped in `OVAny`, as an integer."""
    return int(getattr(value, "value", value))
