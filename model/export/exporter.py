"""Exporting a checkpoint: the file appears under its name once its own runtime has answered as the checkpoint does."""

import shutil
import tempfile
from collections.abc import Callable, Mapping
from importlib import import_module
from pathlib import Path

from whisker.model.atomic_write import atomic_write
from whisker.model.checkpoint.contents import Checkpoint
from whisker.model.classifier import Classifier
from whisker.model.errors import CheckpointError, ExportError
from whisker.model.export.answers import Answers
from whisker.model.export.conversion.network import ExportedNetwork
from whisker.model.export.formats import Format
from whisker.model.export.manifest import Golden, Manifest, digest_pixels
from whisker.model.export.replay import Replay, replay
from whisker.model.export.runtimes.base import ExportedFile
from whisker.model.export.runtimes.opening import open_export

_RESIZES_ITSELF: Mapping[str, bool] = {"onnx": True, "openvino": False, "torch": True, "litert": False}
_NEVER_RESIZES = ("litert",)


def export_checkpoint(
    checkpoint: Checkpoint,
    kind: Format,
    out: Path,
    *,
    resize: bool = True,
    overwrite: bool = False,
    check: Callable[[ExportedFile], None] | None = None,
) -> Replay:
    """Export to `out`, whole or not at all, and return what the replay of the golden pictures showed.

    With `resize`, the file takes pictures of any size, if its format can. `check` looks at the file before it appears.
    Raises `ExportError` if it cannot be made, or answers otherwise than the checkpoint by more than the bounds.
    """
    _require_free(kind, out, overwrite=overwrite)
    kind.require(to_write=True)
    manifest = describe(checkpoint, resizes=resize and kind.name not in _NEVER_RESIZES)
    network = ExportedNetwork(checkpoint, resizes=manifest.resizes and _RESIZES_ITSELF[kind.name])
    try:
        out.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(prefix=f".{out.name}.", dir=out.parent) as folder:
            unproven = Path(folder) / out.name
            _convert(kind, network, manifest, unproven)
            file = open_export(unproven)
            found = _prove(file, kind)
            if check is not None:
                check(file)
            _publish(unproven, out)
    except OSError as exc:
        raise ExportError(f"{out} cannot be written: {exc.strerror or exc}.") from exc
    return found


def describe(checkpoint: Checkpoint, *, resizes: bool) -> Manifest:
    """Make the manifest, with the answers that plain PyTorch gives here for the golden pictures."""
    if checkpoint.golden is None:
        raise CheckpointError("The checkpoint has no golden answers to verify an export with.")
    classifier, pictures = Classifier(checkpoint), checkpoint.golden.pictures
    classifier.verify()
    decoded = [checkpoint.preprocessing.decode(picture) for picture in pictures]
    whole = [checkpoint.preprocessing.read(picture, resized=False).pixels for picture in pictures]
    answers = Answers.decide(checkpoint.decision_rule, classifier.scores(decoded))
    golden = Golden(pictures, tuple(map(digest_pixels, decoded, whole)), answers)
    return Manifest(
        checkpoint.name, checkpoint.sha256, checkpoint.decision_rule, checkpoint.preprocessing, golden, resizes
    )


def _require_free(kind: Format, out: Path, *, overwrite: bool) -> None:
    if out.suffix != kind.suffix:
        raise ExportError(f"The name of a file for {kind.title} ends in {kind.suffix}: {out} does not.")
    if out.exists() and not overwrite:
        raise ExportError(f"{out} exists already: give --overwrite to replace it, or another --out.")


def _convert(kind: Format, network: ExportedNetwork, manifest: Manifest, path: Path) -> None:
    """Write an unproven file; only the converter that is needed is imported."""
    write = getattr(import_module(f"whisker.model.export.conversion.to_{kind.name}"), f"write_{kind.name}")
    try:
        write(network, manifest, path)
    except (ExportError, OSError):
        raise
    except Exception as exc:  # converters raise all kinds for what they do not know
        reason = str(exc).strip().partition("\n")[0] or type(exc).__name__
        raise ExportError(f"{kind.title} cannot take this network: {reason}.") from exc


def _prove(file: ExportedFile, kind: Format) -> Replay:
    try:
        return replay(file)
    except ExportError as exc:
        raise ExportError(f"Nothing was written, because the {kind.title} file {exc}.") from exc


def _publish(unproven: Path, out: Path) -> None:
    """Move a file to its place, and before it the file of weights that it names."""
    weights = unproven.with_suffix(".bin")
    for part in (weights, unproven):
        if part.exists():
            with atomic_write(out.with_suffix(part.suffix)) as temporary:
                shutil.move(part, temporary)
