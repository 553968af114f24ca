"""LiteRT files, for one picture of the network's size: LiteRT has no resize like Pillow's, and shapes are fixed."""

from pathlib import Path

import flatbuffers
import litert_torch
from ai_edge_litert.schema_py_generated import BufferT, MetadataT, ModelT

from whisker.model.export.conversion.network import ExportedNetwork
from whisker.model.export.conversion.quietness import quiet
from whisker.model.export.manifest import KEY, Manifest

_IDENTIFIER = b"TFL3"


def write_litert(network: ExportedNetwork, manifest: Manifest, path: Path) -> None:
    """Write one file; the network is one that does not resize."""
    with quiet():
        litert_torch.convert(network, (network.example(1),)).export(str(path))
    model = ModelT.InitFromPackedBuf(path.read_bytes(), 0)
    document = BufferT()
    document.data = manifest.to_json().encode()
    entry = MetadataT()
    entry.name, entry.buffer = KEY, len(model.buffers)
    model.buffers.append(document)
    model.metadata = [*(model.metadata or ()), entry]
    builder = flatbuffers.Builder()
    builder.Finish(model.Pack(builder), _IDENTIFIER)
    path.write_bytes(builder.Output())
