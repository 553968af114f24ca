from collections.abc import Callable

import pytest

from tests.onnx_files import write_onnx
from whisker.model.errors import CheckpointError
from whisker.model.onnx.structure import inspect_onnx


def test_what_a_file_says_of_itself() -> None:
    summary = inspect_onnx(write_onnx())
    assert (summary.producer, summary.opset, summary.operators["Conv"]) == ("a test", 17, 1)


def _with_control_flow() -> bytes:
    onnx = pytest.importorskip("onnx", reason="the package onnx writes the files of this test")
    body = onnx.helper.make_graph([], "body", [], [])
    return write_onnx([("If", ("x",), ("logits",), {"then_branch": body, "else_branch": body})])


def _with_external_constant() -> bytes:
    onnx = pytest.importorskip("onnx", reason="the package onnx writes the files of this test")
    tensor = onnx.TensorProto(dims=[2], data_type=1, data_location=onnx.TensorProto.EXTERNAL)
    tensor.external_data.add(key="location", value="/etc/passwd")
    return write_onnx([("Constant", (), ("logits",), {"value": tensor})])


def _changed(change: Callable[[bytes], bytes]) -> Callable[[], bytes]:
    return lambda: change(write_onnx())


@pytest.mark.parametrize(
    ("make", "problem"),
    [
        (lambda: write_onnx(external="/etc/passwd"), "in other files, which are not opened"),
        (_with_external_constant, "in other files, which are not opened"),
        (_with_control_flow, r"control flow \(the operator If\)"),
        (_changed(lambda it: it + b"\xca\x01\x02\x0a\x00"), "functions of its own"),  # field 25
        (_changed(lambda it: it[:-40]), "cut off or damaged"),
        (_changed(lambda it: it + b"\xff" * 12), "cut off or damaged"),
        (lambda: b"", "no ONNX file"),
        (lambda: b"\x08\x07", "no ONNX file"),
    ],
)
def test_what_could_do_more_than_compute_is_refused(make: Callable[[], bytes], problem: str) -> None:
    with pytest.raises(CheckpointError, match=problem):
        inspect_onnx(make())
