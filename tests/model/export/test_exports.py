"""Exported files answer as their checkpoint does, in their own runtime, and say so themselves."""

import dataclasses
import importlib.util
import io
import json
import re
import subprocess
import sys
from collections.abc import Callable
from contextlib import redirect_stdout
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from typer.testing import CliRunner, Result

from tests.model.networks import CONFIGS, trained_like
from tests.pictures import CLASSES, draw
from whisker.cli import cli
from whisker.model import (
    Checkpoint,
    Classifier,
    NetworkConfig,
    Preprocessing,
    load_checkpoint,
    save_checkpoint,
    with_golden_answers,
)
from whisker.model.answers.decision_rule import Scores
from whisker.model.answers.novelty import Novelty
from whisker.model.checkpoint.contents import Thresholds
from whisker.model.errors import CheckpointError, ExportError, WhiskerError
from whisker.model.export.answers import Answers
from whisker.model.export.conversion.network import ExportedNetwork
from whisker.model.export.conversion.resizing import Resizing
from whisker.model.export.exporter import export_checkpoint
from whisker.model.export.formats import FORMATS, format_named
from whisker.model.export.runtimes.base import ExportedFile
from whisker.model.export.runtimes.opening import open_export
from whisker.model.resizing import Resample, as_image, resize

PAGE = Path(__file__).parents[3] / "docs" / "how-to" / "export.md"
SCRIPTS = dict(
    zip(
        ("onnx", "openvino", "torch", "litert"),
        re.findall(r"```python\n(.*?)```", PAGE.read_text(), re.DOTALL),
        strict=True,
    )
)


@pytest.fixture(scope="module")
def checkpoint(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Write a small checkpoint with a measure of novelty, as valid as any."""
    network, rng = trained_like(NetworkConfig(width=8, depth=1, size=32), 2), np.random.default_rng(0)
    network.fc.weight.data /= 50
    prototypes = rng.normal(size=(5, network.fc.in_features)).astype(np.float32)
    novelty = Novelty(
        (prototypes / np.linalg.norm(prototypes, axis=1, keepdims=True)).astype(np.float16).astype(np.float32),
        rng.normal(size=network.fc.in_features).astype(np.float32),
        neighbours=3,
        distance_weight=1.0,
        typical=0.0,
        threshold=1.0,
    )
    made = Checkpoint(
        "small", NetworkConfig(width=8, depth=1, size=32), Preprocessing(32), CLASSES, network.state_dict()
    )
    path = tmp_path_factory.mktemp("checkpoint") / "photos.safetensors"
    made = dataclasses.replace(made, temperature=1.5, thresholds=Thresholds(unsure=0.6), novelty=novelty)
    save_checkpoint(with_golden_answers(made), path)
    return path


@pytest.fixture(scope="module")
def photos(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("photos")
    for seed in range(4):
        draw(CLASSES[seed % 2], seed, (40 + 30 * seed, 100)).save(folder / f"{seed}.jpg")
    (folder / "notes.txt").write_text("no photo")
    return folder


@pytest.fixture(scope="module")
def export_to(checkpoint: Path, photos: Path, tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], Path]:
    """Export the checkpoint to a format, once, compared on photos."""
    folder = tmp_path_factory.mktemp("exported")

    def export(name: str) -> Path:
        kind = format_named(name)
        out = folder / f"photos{kind.suffix}"
        if out.exists():
            return out
        for package in (*kind.runs, *kind.writes):
            if importlib.util.find_spec(package) is None:
                pytest.skip(f"{package} is not installed: pip install 'whisker-vision[{kind.extra}]'")
        result = whisker("export", str(checkpoint), "--to", name, "--out", str(out), "--photos", str(photos))
        assert result.exit_code == 0, result.exception
        assert "on 4 photos" in result.output
        assert "other labels: 0, other verdicts: 0. 1 of the files cannot be used" in result.output
        return out

    return export


@pytest.fixture(params=[kind.name for kind in FORMATS])
def exported(request: pytest.FixtureRequest, export_to: Callable[[str], Path]) -> Path:
    return export_to(request.param)


@pytest.fixture
def onnx_file(export_to: Callable[[str], Path]) -> Path:
    return export_to("onnx")


def whisker(*arguments: str) -> Result:
    return CliRunner().invoke(cli, arguments)


def test_file_answers_pictures_of_any_size(exported: Path, checkpoint: Path) -> None:
    file, plain = open_export(exported), Classifier(load_checkpoint(checkpoint))
    for size in ((48, 40), (33, 90), (200, 31)) if file.manifest.resizes else ((32, 32),) * 3:
        picture = draw("rings", 7, size)
        expected = plain.scores([np.asarray(picture.resize((32, 32), Image.Resampling.BILINEAR))])
        answers = file.run(np.stack([np.asarray(picture)] * 3))
        assert answers.difference(Answers.decide(file.manifest.rule, expected)) < 0.02
        assert answers.obey(file.manifest.rule)
        assert len(answers.verdicts) == 3


def test_script_of_the_guide_needs_no_whisker(
    exported: Path, checkpoint: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(exported.parent)
    draw("stripes", 5).save("photo.jpg", quality=95)
    script = SCRIPTS[next(kind.name for kind in FORMATS if kind.suffix == exported.suffix)]
    assert "import whisker" not in script
    assert "from whisker" not in script
    said = io.StringIO()
    with redirect_stdout(said):
        exec(compile(script, "script", "exec"), {})  # noqa: S102 - our own page
    label, score, verdict = said.getvalue().split()
    (expected,) = Classifier(load_checkpoint(checkpoint)).predict([Path("photo.jpg").read_bytes()])
    assert (label, verdict) == (expected.label, expected.verdict)
    assert float(score) == pytest.approx(expected.score, abs=0.02)


def test_verify_needs_no_pytorch(onnx_file: Path) -> None:
    code = "import sys; sys.modules['torch'] = None; from whisker.cli import main; main()"
    command = [sys.executable, "-c", code, "verify", str(onnx_file), "--json"]
    answer = subprocess.run(command, check=True, capture_output=True, text=True)  # noqa: S603 - our own code
    assert json.loads(answer.stdout)["network"] <= 0.0005


def test_altered_weights_are_found(onnx_file: Path, tmp_path: Path) -> None:
    import onnx  # noqa: PLC0415 - optional

    model = onnx.load(onnx_file)
    weights = max(model.graph.initializer, key=lambda one: len(one.raw_data))
    weights.CopyFrom(onnx.numpy_helper.from_array(onnx.numpy_helper.to_array(weights) * 2, weights.name))
    onnx.save_model(model, tmp_path / "altered.onnx")
    result = whisker("verify", str(tmp_path / "altered.onnx"))
    assert isinstance(result.exception, ExportError)
    assert "answers otherwise than its checkpoint: a golden answer differs by" in str(result.exception)


def test_other_decoders_are_said_and_allowed_for(onnx_file: Path, tmp_path: Path) -> None:
    import onnx  # noqa: PLC0415 - optional

    model = onnx.load(onnx_file)
    (entry,) = model.metadata_props
    document = json.loads(entry.value)
    document["golden"]["pixels_sha256"][0] = "of another decoder"
    entry.value = json.dumps(document)
    onnx.save_model(model, tmp_path / "elsewhere.onnx")
    result = whisker("verify", str(tmp_path / "elsewhere.onnx"))
    assert "(allowed: 0.0205)" in result.output
    assert "other pixels for 1 of them" in result.output


def test_onnx_file_tells_nothing_of_this_machine(onnx_file: Path) -> None:
    assert b"/model/" not in onnx_file.read_bytes()
    assert b".py" not in onnx_file.read_bytes()


def test_file_that_is_refused_does_not_appear(several: Checkpoint, tmp_path: Path) -> None:
    seen: list[ExportedFile] = []

    def refuse(file: ExportedFile) -> None:
        seen.append(file)
        raise ExportError("refused")

    out = tmp_path / "several.pt2"
    with pytest.raises(ExportError, match="refused"):
        export_checkpoint(several, format_named("torch"), out, resize=False, check=refuse)
    assert [*tmp_path.iterdir()] == []
    assert seen[0].manifest.outputs == ("probabilities", "verdict", "labels")
    answers = seen[0].run(np.zeros((2, 32, 32, 3), np.uint8))
    assert answers.labels is not None
    assert answers.labels.tolist() == [[True, True, False]] * 2
    assert answers.verdicts.tolist() == [0, 0]


def test_golden_answers_that_differ_write_nothing(several: Checkpoint, tmp_path: Path) -> None:
    assert several.golden is not None
    wrong = dataclasses.replace(several.golden, probabilities=several.golden.probabilities.flip(1))
    with pytest.raises(CheckpointError, match="a golden answer differs"):
        export_checkpoint(dataclasses.replace(several, golden=wrong), format_named("torch"), tmp_path / "a.pt2")
    assert [*tmp_path.iterdir()] == []


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (("export", "CHECKPOINT", "--to", "coreml", "--out", "a.mlmodel"), "--to is one of onnx, openvino, torch"),
        (("export", "CHECKPOINT", "--to", "torch", "--out", "a.onnx"), "ends in .pt2: a.onnx does not"),
        (("export", "CHECKPOINT", "--to", "torch", "--out", "taken.pt2"), "exists already: give --overwrite"),
        (("verify", "missing.pt2"), "There is no file at missing.pt2"),
        (("verify", "taken.pt2"), "taken.pt2 is damaged, or not for this version of torch.export"),
        (("verify", "CHECKPOINT"), "no exported file: its name ends in none of .onnx, .xml"),
        (("verify", "taken.pt2", "--photos", "."), "--photos and --checkpoint belong together"),
    ],
)
def test_what_cannot_be_is_said_in_one_sentence(
    arguments: tuple[str, ...], sentence: str, checkpoint: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("taken.pt2").write_bytes(b"no archive")
    result = whisker(*(str(checkpoint) if word == "CHECKPOINT" else word for word in arguments))
    assert isinstance(result.exception, WhiskerError), result.output
    assert sentence in str(result.exception)
    assert Path("taken.pt2").read_bytes() == b"no archive"


def test_missing_converter_is_named_with_its_extra(
    several: Checkpoint, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "ai_edge_litert", None)
    with pytest.raises(ExportError, match=r"ai_edge_litert.*`pip install 'whisker-vision\[litert\]'` has what LiteRT"):
        export_checkpoint(several, format_named("litert"), tmp_path / "a.tflite")


@pytest.mark.parametrize("resample", ["bilinear", "bicubic"])
def test_resize_is_the_services(resample: Resample) -> None:
    rng, resizing = np.random.default_rng(0), Resizing(48, resample)
    for height, width in ((48, 48), (1, 1), (300, 200), (200, 300), (90, 40), (40, 90), (500, 20), (20, 500)):
        pixels = rng.integers(0, 256, (height, width, 3), np.uint8)
        expected = np.asarray(as_image(resize(pixels, (48, 48), resample)))
        resized = resizing(torch.from_numpy(pixels)[None].permute(0, 3, 1, 2).float())[0].permute(1, 2, 0).numpy()
        apart = np.abs(resized - expected)
        assert apart.max() <= 1  # next to a half
        assert (apart > 0).mean() < 0.05


@pytest.mark.parametrize("config", [it for it in CONFIGS if it.family not in ("cnn", "resnet")], ids=str)
def test_exported_network_of_other_families_answers_alike(config: NetworkConfig) -> None:
    network = trained_like(config)
    network.fc.weight.data /= 100
    checkpoint = Checkpoint("a", config, Preprocessing(config.size), ("a", "b", "c"), network.state_dict(), 1.3)
    pixels = np.random.default_rng(0).integers(0, 256, (2, config.size, config.size, 3), np.uint8)
    probabilities, verdict = ExportedNetwork(checkpoint, resizes=True)(torch.from_numpy(pixels))
    expected: Scores = Classifier(checkpoint).scores([*pixels])
    np.testing.assert_allclose(probabilities.numpy(), expected.probabilities, atol=1e-5)
    assert verdict.tolist() == Answers.decide(checkpoint.decision_rule, expected).verdicts.tolist()
