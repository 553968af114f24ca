"""From an ONNX file of another program to a checkpoint, which answers as the file does and promises nothing."""

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import torch
from numpy.typing import NDArray

from whisker.model import Checkpoint, Classifier, Preprocessing, save_checkpoint, with_golden_answers
from whisker.model.card.provenance import ImportRun, Provenance
from whisker.model.checkpoint.contents import Thresholds
from whisker.model.checkpoint.golden import golden_pictures
from whisker.model.checkpoint.integrity import GRAPH
from whisker.model.engines.onnx_engine import import_openvino
from whisker.model.errors import CheckpointError
from whisker.model.onnx.config import GraphConfig, Output
from whisker.model.onnx.structure import MAX_BYTES, OnnxSummary, inspect_onnx
from whisker.model.plain_text import printable
from whisker.model.regular_file import open_regular, read_regular
from whisker.training.errors import TrainingError
from whisker.training.importing.agreement import MAX_DIFFERENCE, runtime_outputs
from whisker.training.importing.labels import read_class_names
from whisker.training.importing.outputs import check_outputs, to_probabilities
from whisker.training.importing.trial import try_graph
from whisker.training.progress import Progress
from whisker.training.provenance import today

if TYPE_CHECKING:
    from whisker.training.importing.graph import Found, OnnxGraph

_UNCALIBRATED = Thresholds(unsure=1.0, shown=False)


@dataclass(frozen=True, slots=True)
class OnnxImport:
    """A file to import, what is known of it, and where the checkpoint goes.

    `input` describes the graph's input; its tensor is not known yet.
    """

    file: Path
    labels: Path
    out: Path
    input: GraphConfig
    preprocessing: Preprocessing
    outputs: Output
    overwrite: bool = False
    name: str = ""
    command: str = ""


def is_onnx(path: Path) -> bool:
    """Tell an ONNX file by its name, or by the field that every one begins with: the version of the format."""
    if path.suffix.lower() == ".onnx":
        return True
    try:
        with open_regular(path) as file:
            start = file.read(9)
    except OSError:
        return False  # whoever reads it says why
    return start[:1] == b"\x08" and start[8:] != b"{"  # with which a safetensors file goes on


def import_classifier(given: OnnxImport, progress: Progress) -> Checkpoint:
    """Write a checkpoint that answers as an ONNX classifier does; nothing is written unless all checks pass.

    Raises `TrainingError` with one sentence for a file that cannot be used, and `EngineError` without OpenVINO.
    """
    _require_free(given)
    import_openvino()
    from whisker.training.importing.graph import OnnxGraph  # noqa: PLC0415 - needs OpenVINO

    names = read_class_names(given.labels)
    content = _read(given.file)
    pixels = [given.preprocessing.decode(picture) for picture in golden_pictures()]
    try:
        summary = inspect_onnx(content)
        try_graph(content, given.input)
        graph = OnnxGraph(content, given.input)
        outputs = graph.outputs(pixels)
        check_outputs(outputs, given.outputs, len(names), softmax_at_end=graph.has_softmax)
        checkpoint, found = _assemble(given, graph, outputs, names, pixels)
        difference = _compare(given, content, checkpoint, names, pixels)
    except CheckpointError as exc:
        raise TrainingError(f"{given.file} {str(exc).removeprefix('The checkpoint ')}".rstrip(".") + ".") from exc
    run = _record(given, content, summary, difference)
    checkpoint = with_golden_answers(replace(checkpoint, provenance=Provenance(imported=run).to_json()))
    save_checkpoint(checkpoint, given.out)
    _describe(summary, found, difference, len(pixels), progress)
    return checkpoint


def _require_free(given: OnnxImport) -> None:
    if given.out.suffix != ".safetensors":
        raise TrainingError(f"The checkpoint's name ends in .safetensors, not {given.out}: see --out.")
    if given.out.exists() and not given.overwrite:
        raise TrainingError(f"{given.out} exists: choose another name with --out, or replace it with --overwrite.")


def _read(path: Path) -> bytes:
    try:
        return read_regular(path, max_bytes=MAX_BYTES)
    except OSError as exc:
        raise TrainingError(f"{path} cannot be read: {exc.strerror}.") from exc


def _assemble(
    given: OnnxImport,
    graph: "OnnxGraph",
    outputs: NDArray[np.float32],
    names: Sequence[str],
    pixels: Sequence[NDArray[np.uint8]],
) -> tuple[Checkpoint, "Found"]:
    """Make a checkpoint of the first way to take the graph apart that changes no answer."""
    expected = to_probabilities(outputs, given.outputs)
    order = sorted(range(len(names)), key=names.__getitem__)
    for found in graph.endings(given.outputs, len(names)):
        checkpoint = Checkpoint(
            name=given.name or printable(given.out.stem),
            network=found.config,
            preprocessing=given.preprocessing,
            classes=tuple(names[index] for index in order),
            state={
                GRAPH: torch.frombuffer(bytearray(graph.content), dtype=torch.uint8),
                "fc.weight": torch.from_numpy(found.head.weight[order]),
                "fc.bias": torch.from_numpy(found.head.bias[order]),
            },
            thresholds=_UNCALIBRATED,
        )
        answers = Classifier(checkpoint).scores(pixels).probabilities
        if np.abs(answers - expected[:, order]).max() <= MAX_DIFFERENCE:
            return checkpoint, found
    raise CheckpointError("answers differently when its last layer is computed by Whisker, and so cannot be served")


def _compare(
    given: OnnxImport,
    content: bytes,
    checkpoint: Checkpoint,
    names: Sequence[str],
    pixels: Sequence[NDArray[np.uint8]],
) -> float | None:
    """Return the largest difference of a probability from ONNX Runtime's, `None` without that.

    Raises `CheckpointError`, with the end of a sentence, if it is more than `MAX_DIFFERENCE`.
    """
    assert isinstance(checkpoint.network, GraphConfig)  # noqa: S101 - made above
    theirs = runtime_outputs(content, checkpoint.network, pixels)
    if theirs is None:
        return None
    expected = to_probabilities(theirs, given.outputs)[:, [names.index(name) for name in checkpoint.classes]]
    answers = Classifier(checkpoint).scores(pixels).probabilities
    difference = float(np.abs(answers - expected).max())
    if not difference <= MAX_DIFFERENCE:  # so written, NaN fails too
        raise CheckpointError(
            f"answers otherwise here than in ONNX Runtime: a probability of a golden picture differs by "
            f"{difference:.4f}, where {MAX_DIFFERENCE:g} is allowed, so nothing was written"
        )
    return difference


def _record(given: OnnxImport, content: bytes, summary: OnnxSummary, difference: float | None) -> ImportRun:
    return ImportRun(
        file=printable(given.file.name),
        sha256=hashlib.sha256(content).hexdigest(),
        producer=summary.producer,
        opset=summary.opset,
        runtime_difference=difference,
        command=given.command,
        date=today(),
    )


def _describe(
    summary: OnnxSummary, found: "Found", difference: float | None, pictures: int, progress: Progress
) -> None:
    by = f" by {summary.producer}" if summary.producer else ""
    progress.say(
        f"Read an ONNX graph{by}: operator set {summary.opset}, {summary.operators.total():,} operators, "
        f"{found.config.multiply_adds:,} multiply-adds a picture."
    )
    progress.say(
        "Its last layer is linear, so calibration can fit a measure of novelty to the features before it."
        if found.config.has_features
        else "It does not end with a linear layer, so this checkpoint cannot have a measure of novelty: no verdict is "
        "ever unknown."
    )
    if not found.config.batches:
        progress.say("It takes one picture at a time: requests are not answered in batches.")
    progress.say(
        "ONNX Runtime is not installed, so its answers were not compared with Whisker's: `pip install "
        "'whisker-vision[onnx]'`, and import again to compare them."
        if difference is None
        else f"ONNX Runtime gives the same answers for {pictures} golden pictures: probabilities differ by at most "
        f"{difference:.1g}, where {MAX_DIFFERENCE:g} is allowed."
    )
