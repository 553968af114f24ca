"""Use the client that openapi-python-client has generated: `program.py URL PHOTO`, beside the package `client`."""

import json
import sys
from importlib import import_module
from io import BytesIO
from pathlib import Path
from typing import Any


def _call(name: str, **options: Any) -> Any:
    return import_module(f"client.api.{name}").sync_detailed(client=_whisker, **options)


_whisker: Any = import_module("client").Client(base_url=sys.argv[1], raise_on_unexpected_status=True)
_models: Any = import_module("client.models")
_file: Any = import_module("client.types").File
_photo = Path(sys.argv[2]).read_bytes()


def _picture(data: bytes) -> Any:
    return _file(payload=BytesIO(data), file_name="picture", mime_type="application/octet-stream")


_classes = _call("predict.model_card").parsed.classes
_answer = _call("predict.predict", body=_models.PictureForm(file=_picture(_photo)), top_k=1)
_refused = _call("predict.predict", body=_models.PictureForm(file=_picture(b"no picture")))
_several = _call("predict.predict_batch", body=_models.PicturesForm(file=[_picture(_photo), _picture(b"no picture")]))
_drawn = _call("predict.explain", body=_models.PictureForm(file=_picture(_photo)))
_correction = _models.CorrectionForm(file=_picture(_photo), label=[_classes[-1]], consent="yes")
print(  # noqa: T201 - what the benchmark reads
    json.dumps(
        {
            "classes": _classes,
            "label": _answer.parsed.label,
            "listed": len(_answer.parsed.predictions),
            "refused": [_refused.parsed.status, _refused.parsed.code],
            "several": [
                it.prediction.label if it.prediction is not None else it.problem.code for it in _several.parsed.results
            ],
            "map": _drawn.parsed.payload.read(4).hex(),
            "kept": _call("predict.correct", body=_correction).parsed.label,
            "status": _call("operate.health").parsed.status,
        }
    )
)
