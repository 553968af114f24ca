"""The classifier: a checkpoint, ready to answer."""

import dataclasses
from collections.abc import Mapping, Sequence
from functools import cached_property
from pathlib import Path
from typing import Self

import numpy as np
import torch
from numpy.typing import NDArray

from whisker.model.checkpoint.contents import Checkpoint, Golden
from whisker.model.checkpoint.file import load_checkpoint
from whisker.model.checkpoint.golden import TOLERANCE, check_golden_answers, golden_pictures
from whisker.model.engines.base import Compiled, Engine, OnnxModel, OpenVinoModel
from whisker.model.engines.choice import AUTO, PLAIN, Candidate, choose_engine
from whisker.model.engines.device import gpu_errors_named, resolve_device
from whisker.model.engines.onnx_engine import NAME as IMPORTED_ENGINE
from whisker.model.engines.onnx_engine import TOLERANCE as IMPORTED_TOLERANCE
from whisker.model.engines.onnx_engine import graph_of, open_graph_engine, require_cpu, require_openvino
from whisker.model.engines.torch_engine import TorchEngine
from whisker.model.errors import CheckpointError, PictureError
from whisker.model.exported import ExportedClassifier, batch_sizes
from whisker.model.networks.base import Network
from whisker.model.networks.build import build_network
from whisker.model.predictor import Predictor


class Classifier(Predictor):
    """Classify pictures with one checkpoint on one device. Not thread-safe: one thread owns a classifier."""

    def __init__(self, checkpoint: Checkpoint, device: str = "cpu") -> None:
        """Build the network from `checkpoint`; raise `DeviceError` if `device` is not available."""
        self.checkpoint = checkpoint
        self.device = require_cpu(device) if checkpoint.is_imported else resolve_device(device)
        self._kind: Candidate | None = None if checkpoint.is_imported else PLAIN  # `None` is the one of graphs
        super().__init__(self._plain_engine(), checkpoint.preprocessing, checkpoint.decision_rule)
        self.batch_seconds: Mapping[int, float] = {}  # what a batch of each size took at warm-up

    @classmethod
    def load(
        cls, path: str | Path, device: str = "cpu", *, engine: str = AUTO, signed_by: str | Path | None = None
    ) -> Self:
        """Load a checkpoint file, replay its golden pictures, choose the fastest engine and warm up.

        Raises `CheckpointError` if the file cannot be used or its golden answers differ, `DeviceError` if `device`
        (`auto`, `cpu`, `cuda` or `cuda:N`) is not there or fails, `EngineError` if an `engine` that is asked for cannot
        be used. `signed_by` as for `load_checkpoint`.
        """
        checkpoint = load_checkpoint(Path(path), signed_by=None if signed_by is None else Path(signed_by))
        with gpu_errors_named():
            classifier = cls(checkpoint, device)
            classifier.verify()
            classifier.use_engine(engine)
            classifier.batch_seconds = classifier._engine.warm_up(checkpoint.preprocessing.size)
        return classifier

    @cached_property
    def network(self) -> Network:
        """Return the network in PyTorch; raise `ConfigError` if the checkpoint was imported from ONNX."""
        network = build_network(self.checkpoint.network, len(self.checkpoint.classes))
        network.load_state_dict(dict(self.checkpoint.state))
        return network.eval().requires_grad_(requires_grad=False).to(self.device)

    @property
    def engine(self) -> str:
        """Return the name of the engine."""
        return IMPORTED_ENGINE if self._kind is None else self._kind.name

    def use_engine(self, name: str = AUTO) -> None:
        """Switch from the plain engine to the fastest accurate one, or to the one named.

        Raises `EngineError` if the one named cannot be used, and as `verify` without golden pictures to compare for.
        """
        if self._kind is None:
            require_openvino(name)
            return
        plain = self._engine if self._kind is PLAIN else self._plain_engine()
        self._engine, self._kind = choose_engine(self.network, self.checkpoint, plain, self._golden_pixels, name=name)

    def verify(self) -> float:
        """Replay the golden pictures; return the largest difference of a probability.

        Raises `CheckpointError` if a picture does not decode or an answer differs by more than the tolerance.
        """
        answers = self.scores(self._golden_pixels).probabilities
        return check_golden_answers(self._golden.probabilities.numpy(), answers, tolerance=TOLERANCE + self._tolerance)

    def exported(self) -> ExportedClassifier | None:
        """Export the classifier for a process without PyTorch; return `None` if its engine needs PyTorch."""
        if self._kind is None:
            model: OpenVinoModel | OnnxModel = graph_of(self.checkpoint)
        elif self._kind.export is not None:
            model = self._kind.export(self.network, self.checkpoint)
        else:
            return None
        return self._export(model)

    def compiled(self, *, threads: int, largest: int) -> ExportedClassifier | None:
        """Export the classifier as `exported` does, compiled for this machine and batches up to `largest`."""
        ready = self._engine.compiled()
        wanted = ready if self._kind is None else batch_sizes(largest)
        if ready and ready.keys() >= set(wanted):
            return self._export({count: ready[count] for count in wanted})
        exported = self.exported()
        return None if exported is None else exported.compiled(threads=threads, largest=largest)

    def _export(self, model: OpenVinoModel | OnnxModel | Compiled) -> ExportedClassifier:
        return ExportedClassifier(
            openvino_model=model,
            head=self._engine.head,
            preprocessing=self.preprocessing,
            decision_rule=self._decision_rule,
            golden=(self._golden.pictures, self._golden.probabilities.numpy()),
            tolerance=TOLERANCE + self._tolerance,
        )

    def answers(self, pictures: Sequence[bytes]) -> torch.Tensor:
        """Compute float32 probabilities `[pictures, classes]` for encoded pictures."""
        scores = self.scores([self.preprocessing.decode(picture) for picture in pictures])
        return torch.from_numpy(scores.probabilities)

    @property
    def _tolerance(self) -> float:
        return IMPORTED_TOLERANCE if self._kind is None else self._kind.tolerance

    def _plain_engine(self) -> Engine:
        """Open the reference for every other engine."""
        if self.checkpoint.is_imported:
            return open_graph_engine(self.checkpoint)
        return TorchEngine(self.network, self.device)

    @property
    def _golden(self) -> Golden:
        if self.checkpoint.golden is None:
            raise CheckpointError("The checkpoint has no golden answers to verify itself with.")
        return self.checkpoint.golden

    @cached_property
    def _golden_pixels(self) -> list[NDArray[np.uint8]]:
        try:
            return [self.preprocessing.decode(picture) for picture in self._golden.pictures]
        except PictureError as exc:
            raise CheckpointError(
                "The checkpoint's golden pictures cannot be decoded here: reinstall Pillow, or use an unaltered copy."
            ) from exc


def with_golden_answers(checkpoint: Checkpoint) -> Checkpoint:
    """Return `checkpoint` with golden pictures and the answers that it gives for them here, on the CPU."""
    pictures = golden_pictures()
    answers = Classifier(checkpoint).answers(pictures)
    return dataclasses.replace(checkpoint, golden=Golden(pictures, answers))
