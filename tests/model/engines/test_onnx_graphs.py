from collections.abc import Callable

import pytest

from tests.onnx_files import Node, write_onnx
from whisker.model.errors import CheckpointError
from whisker.model.onnx.config import GraphConfig

pytest.importorskip("openvino", reason="OpenVINO runs imported graphs: pip install 'whisker-vision[openvino]'")

SUM: Node = ("Add", ("x", "y"), ("logits",), {})
FILL: tuple[Node, ...] = (
    ("Constant", (), ("shape",), {"value_ints": [1 << 20, 1 << 20]}),
    ("ConstantOfShape", ("shape",), ("large",), {}),
    ("ReduceSum", ("large",), ("sum",), {"keepdims": 0}),
    ("Add", ("x", "sum"), ("logits",), {}),
)


@pytest.mark.parametrize(
    ("make", "problem"),
    [
        (lambda: write_onnx(domain="my.operators"), r"operators that OpenVINO.* lacks: my\.operators\.Conv"),
        (lambda: write_onnx([SUM], inputs=("x", "y")), "has 2 inputs"),
        (
            lambda: write_onnx(shape=("N", 3, 32, 32)),
            r"no pictures of 48 x 48 pixels as NCHW: its input is \[\?,3,32,32",
        ),
        (lambda: write_onnx(FILL), r"a tensor of 4,398,046,511,104 bytes"),
        (lambda: b"\x08\x08no ONNX", "is damaged, or not of a kind that OpenVINO"),
    ],
)
def test_graph_that_cannot_be_served_is_refused(make: Callable[[], bytes], problem: str) -> None:
    from whisker.model.engines.imported.reader import complete, open_graph  # noqa: PLC0415 - needs OpenVINO
    from whisker.model.engines.openvino_engine import shared_core  # noqa: PLC0415

    with pytest.raises(CheckpointError, match=problem):
        complete(open_graph(shared_core(), make()), GraphConfig(48, tensor="logits"))
