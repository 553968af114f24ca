"""A classifier of somebody else, from its ONNX file to answers that promise something."""

from pathlib import Path

import pytest

from tests.app.conftest import Serving
from tests.onnx_files import LABELS, write_onnx
from tests.pictures import draw, encode
from whisker.model import Classifier, Preprocessing, load_checkpoint
from whisker.model.answers.single_label import NOT_SHOWN
from whisker.model.card.metrics import TestMetrics
from whisker.model.card.wording.imported import UNKNOWN_TRAINING, UNTESTED
from whisker.model.onnx.config import GraphConfig
from whisker.training.calibration.calibrate import Targets
from whisker.training.errors import TrainingError
from whisker.training.importing.classifier import OnnxImport, import_classifier
from whisker.training.job import Training
from whisker.training.pipeline import run_calibration, split_config
from whisker.training.progress import Progress
from whisker.training.report.page import write_report

pytest.importorskip("openvino", reason="OpenVINO runs imported graphs: pip install 'whisker-vision[openvino]'")

SIZE = 48


@pytest.fixture(scope="module")
def imported(tmp_path_factory: pytest.TempPathFactory, quiet: Progress) -> Path:
    folder = tmp_path_factory.mktemp("imported")
    file, labels, out = folder / "a.onnx", folder / "labels.txt", folder / "imported.safetensors"
    file.write_bytes(write_onnx())
    labels.write_text(LABELS)
    import_classifier(OnnxImport(file, labels, out, GraphConfig(SIZE), Preprocessing(SIZE), "logits"), quiet)
    return out


@pytest.mark.anyio
async def test_imported_classifier_is_served_and_says_what_it_lacks(imported: Path, serving: Serving) -> None:
    picture = {"file": encode(draw("rings", 1))}
    async with serving(checkpoint=imported, engine="auto") as client:
        answer = (await client.post("/predict", files=picture)).json()
        explained = await client.post("/explain", files=picture)
        model = (await client.get("/model")).json()
        card = await client.get("/card")
    assert (answer["label"], answer["verdict"], answer["reason"]) == ("rings", "unsure", NOT_SHOWN)
    assert answer["unknown_score"] is None
    assert explained.json()["code"] == "no_heat_map"
    assert (model["engine"], model["metrics"], model["provenance"]["imported"]["file"]) == ("openvino", {}, "a.onnx")
    assert UNTESTED in card.text
    assert UNKNOWN_TRAINING in card.text


def test_photos_calibrate_it(imported: Path, photo_folder: Path, tmp_path: Path, quiet: Progress) -> None:
    checkpoint = load_checkpoint(imported)
    with pytest.raises(TrainingError, match="was imported and never measured"):
        write_report(tmp_path / "report.html", checkpoint, None)
    training = Training(
        photo_folder, tmp_path / "calibrated.safetensors", split_config(checkpoint), Targets(precision=0.9)
    )
    run_calibration(training, checkpoint, quiet)
    classifier = Classifier.load(training.out)
    rings, noise = classifier.predict([encode(draw("rings", 100)), encode(draw("stripes", 100).resize((3, 3)))])
    assert (rings.label, rings.verdict) == ("rings", "confident")
    assert noise.verdict != "confident"
    confident = TestMetrics.from_json(classifier.checkpoint.metrics).confident
    assert confident is not None
    assert (confident.guaranteed, confident.target_precision, confident.wrong) == (True, 0.9, 0)
    assert UNKNOWN_TRAINING in training.report_file.read_text()
