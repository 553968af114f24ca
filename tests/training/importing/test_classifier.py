from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from tests.onnx_files import LABELS, Node, for_one, in_rows, with_ending, write_onnx
from tests.pictures import draw, encode
from whisker.model import Checkpoint, Classifier, Preprocessing, load_checkpoint
from whisker.model.card.provenance import Provenance
from whisker.model.checkpoint.golden import golden_pictures
from whisker.model.errors import ConfigError, DeviceError, EngineError, NoHeatMapError
from whisker.model.onnx.config import GraphConfig
from whisker.training.errors import TrainingError
from whisker.training.importing.agreement import MAX_DIFFERENCE
from whisker.training.importing.classifier import OnnxImport, import_classifier
from whisker.training.pretrained.weights import read_pretrained
from whisker.training.progress import Progress

pytest.importorskip("openvino", reason="OpenVINO runs imported graphs: pip install 'whisker-vision[openvino]'")

SIZE = 48
SOFTMAX: Node = ("Softmax", ("logits",), ("probabilities",), {"axis": 1})
SAME: Node = ("Identity", ("probabilities",), ("same",), {})  # behind which the softmax is not seen
NOISE: tuple[Node, ...] = (
    ("RandomNormalLike", ("logits",), ("noise",), {}),
    ("Add", ("logits", "noise"), ("noisy",), {}),
)
ROWS = GraphConfig(SIZE, layout="NHWC", order="bgr", scale="0..255", mean=(120.0, 121.0, 122.0), std=(127.5,) * 3)


def describe(folder: Path, content: bytes, labels: str = LABELS) -> OnnxImport:
    """Write a file and its labels, and describe how it is imported."""
    file, names = folder / "a.onnx", folder / "labels.txt"
    file.write_bytes(content)
    names.write_text(labels)
    return OnnxImport(
        file, names, folder / "imported.safetensors", GraphConfig(SIZE), Preprocessing(SIZE), outputs="logits"
    )


@pytest.fixture(scope="module")
def file(tmp_path_factory: pytest.TempPathFactory, quiet: Progress) -> Path:
    """Import the classifier of rings and stripes."""
    given = describe(tmp_path_factory.mktemp("imported"), write_onnx())
    import_classifier(given, quiet)
    return given.out


@pytest.fixture(scope="module")
def checkpoint(file: Path) -> Checkpoint:
    return load_checkpoint(file)


def test_last_layer_becomes_the_checkpoints_own_in_the_order_of_its_classes(checkpoint: Checkpoint) -> None:
    assert checkpoint.classes == ("rings", "stripes")
    np.testing.assert_allclose(checkpoint.state["fc.weight"], [[-100, 300], [100, -300]], rtol=1e-4)
    np.testing.assert_allclose(checkpoint.state["fc.bias"], [-0.25, 0.25], rtol=1e-4)


def test_answers_are_right_and_promise_nothing(file: Path) -> None:
    classifier = Classifier.load(file)  # which replays the golden answers
    rings, stripes = classifier.predict([encode(draw("rings", 1)), encode(draw("stripes", 1))])
    assert (rings.label, stripes.label) == ("rings", "stripes")
    assert (rings.verdict, stripes.verdict) == ("unsure", "unsure")
    assert rings.unknown_score is None


def test_what_needs_a_network_of_ours_is_refused_in_one_sentence(file: Path, checkpoint: Checkpoint) -> None:
    classifier = Classifier(checkpoint)
    picture = classifier.preprocessing.decode(golden_pictures()[0])
    with pytest.raises(ConfigError, match="PyTorch cannot train"):
        _ = classifier.network
    with pytest.raises(ConfigError, match="PyTorch cannot train"):
        read_pretrained(file)
    with pytest.raises(NoHeatMapError):
        classifier.predict_pixels([picture], [0])
    with pytest.raises(EngineError, match="only openvino runs"):
        classifier.use_engine("torch")
    with pytest.raises(DeviceError, match="runs on the CPU"):
        Classifier(checkpoint, "cuda")


def test_input_and_outputs_are_as_described_and_as_in_onnx_runtime(tmp_path: Path, quiet: Progress) -> None:
    pytest.importorskip("onnxruntime", reason="onnxruntime is what the answers are compared with")
    content = in_rows(SOFTMAX, SAME, output="same")
    given = replace(describe(tmp_path, content), input=ROWS, outputs="probabilities")
    imported = Provenance.from_json(import_classifier(given, quiet).provenance).imported
    assert imported is not None
    assert imported.runtime_difference is not None
    assert imported.runtime_difference < MAX_DIFFERENCE / 10
    checkpoint = load_checkpoint(given.out)
    assert not checkpoint.has_features  # of a graph that ends with anything else, no layer is taken
    (answer,) = Classifier(checkpoint).predict([encode(draw("rings", 2))])
    assert (answer.label, answer.verdict) == ("rings", "unsure")


def test_graph_for_one_picture_answers_several_one_by_one(tmp_path: Path, quiet: Progress) -> None:
    given = describe(tmp_path, for_one())
    classifier = Classifier(import_classifier(given, quiet))
    answers = classifier.predict([encode(draw("rings", 3)), encode(draw("stripes", 3))])
    assert [answer.label for answer in answers] == ["rings", "stripes"]


@pytest.mark.parametrize(
    ("make", "labels", "problem"),
    [
        (write_onnx, "a\nb\nc\n", "answers with 2 numbers, where --labels names 3 classes"),
        (write_onnx, "a\na\n", "Lines 1 and 2 of .* are both 'a'"),
        (lambda: with_ending(SOFTMAX, output="probabilities"), LABELS, "give --outputs probabilities"),
        (lambda: with_ending(*NOISE, output="noisy"), LABELS, "answers differently"),
        (lambda: write_onnx(external="/etc/passwd"), LABELS, "in other files, which are not opened"),
    ],
)
def test_unusable_file_is_refused_in_one_sentence_and_nothing_written(
    tmp_path: Path, make: Callable[[], bytes], labels: str, problem: str, quiet: Progress
) -> None:
    given = describe(tmp_path, make(), labels)
    with pytest.raises(TrainingError, match=problem):
        import_classifier(given, quiet)
    assert not given.out.exists()
