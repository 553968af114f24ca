"""A checkpoint as one PyTorch module, from pixels to answers: what every converter starts from."""

import torch
from torch import Tensor, nn
from torch.export import Dim, ExportedProgram

from whisker.model.checkpoint.contents import Checkpoint
from whisker.model.engines.graph import fold
from whisker.model.export.conversion.deciding import Deciding
from whisker.model.export.conversion.quietness import quiet
from whisker.model.export.conversion.resizing import Resizing
from whisker.model.networks.build import build_network

_WHOLE = (60, 70)  # height and width of an example; any others would do


class ExportedNetwork(nn.Module):
    """Answer pictures, uint8 `[N, H, W, 3]` RGB: of any size if it `resizes`, else of the network's own."""

    def __init__(self, checkpoint: Checkpoint, *, resizes: bool) -> None:
        super().__init__()
        network = build_network(checkpoint.network, len(checkpoint.classes))
        network.load_state_dict(dict(checkpoint.state))
        size = checkpoint.preprocessing.size
        self.size = size
        self.resizing = Resizing(size, checkpoint.preprocessing.resample) if resizes else nn.Identity()
        self.normalization = network.normalization
        self.embedding = fold(network)
        self.deciding = Deciding(network.fc, checkpoint.decision_rule)
        self.eval().requires_grad_(requires_grad=False)

    def forward(self, pictures: Tensor) -> tuple[Tensor, ...]:
        x = self.resizing(pictures.permute(0, 3, 1, 2).float())  # [N, 3, size, size]
        features, _ = self.embedding(self.normalization(x / 255))
        outputs: tuple[Tensor, ...] = self.deciding(features)
        return outputs

    def example(self, count: int) -> Tensor:
        """Make pictures that it takes."""
        height, width = (self.size, self.size) if isinstance(self.resizing, nn.Identity) else _WHOLE
        return torch.zeros((count, height, width, 3), dtype=torch.uint8)

    def program(self) -> ExportedProgram:
        """Trace it for any number of pictures."""
        resizes = not isinstance(self.resizing, nn.Identity)
        free = (0, 1, 2) if resizes else (0,)
        shapes = dict.fromkeys(free, Dim.DYNAMIC)
        with quiet():
            return torch.export.export(self, (self.example(2),), dynamic_shapes=(shapes,), strict=False)
