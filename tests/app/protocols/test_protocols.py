"""Other services' protocols, each with its own client: the same labels and scores as `/predict`, the same errors."""

import base64
import json
import subprocess
from collections.abc import Iterator
from io import BytesIO
from pathlib import Path
from typing import Any

import httpx
import numpy as np
import pytest
import tritonclient.http as triton
from huggingface_hub import InferenceClient
from PIL import Image

from tests.app.conftest import Server, Serving, picture
from whisker.app.settings import load_settings

_PNG = picture(colour="red")
_OTHER = picture(colour="blue")
_VERTEX = {"AIP_HEALTH_ROUTE": "/healthy", "AIP_PREDICT_ROUTE": "/predict", "AIP_HTTP_PORT": "0"}  # one is ours, too


@pytest.fixture(scope="module")
def server(tiny: Path) -> Iterator[Server]:
    server = Server(tiny, "--inference-workers=1", **_VERTEX)
    yield server
    server.clean_up()


@pytest.fixture(scope="module")
def expected(server: Server) -> list[dict[str, Any]]:
    """Give what `/predict` answers for the two pictures."""
    answers = [
        server.client.post("/predict", content=it, headers={"Content-Type": "image/png"}) for it in (_PNG, _OTHER)
    ]
    return [answer.json() for answer in answers]


@pytest.fixture(scope="module")
def inference(server: Server) -> Iterator[triton.InferenceServerClient]:
    with triton.InferenceServerClient(server.address.removeprefix("http://")) as client:
        yield client


def encoded(data: bytes) -> str:
    return base64.b64encode(data).decode()


# Hugging Face


@pytest.mark.parametrize("path", ["", "/models/tiny"])
def test_hugging_face_client_has_the_same_scores(
    server: Server, expected: list[dict[str, Any]], tmp_path: Path, path: str
) -> None:
    photo = tmp_path / "photo.png"
    photo.write_bytes(_PNG)
    client = InferenceClient(model=f"{server.address}{path}")
    for image in (str(photo), _PNG):
        answer = client.image_classification(image)
        wanted = expected[0]["predictions"]
        assert [it.label for it in answer] == [it["label"] for it in wanted]
        assert [it.score for it in answer] == pytest.approx([it["score"] for it in wanted], abs=1e-3)
    assert len(client.image_classification(_PNG, top_k=1)) == 1


@pytest.mark.anyio
@pytest.mark.parametrize(
    ("body", "code"),
    [
        (b"{", "invalid_upload"),
        (b"[]", "invalid_upload"),
        (b"{}", "invalid_upload"),
        (b'{"inputs": "!"}', "invalid_upload"),
        (json.dumps({"inputs": encoded(b"text")}).encode(), "unsupported_picture_format"),
        *(
            (json.dumps({"inputs": encoded(_PNG), "parameters": {"top_k": top_k}}).encode(), "invalid_upload")
            for top_k in (0, True, 1.0, "1")
        ),
        (json.dumps({"inputs": encoded(_PNG)}).encode("utf-16"), "invalid_upload"),
        (b'{"inputs": "\xff"}', "invalid_upload"),
        (b'{"inputs": "\\ud800"}', "invalid_upload"),
        (b'{"inputs": NaN}', "invalid_upload"),
        (b'{"inputs": ' + b"9" * 5_000 + b"}", "invalid_upload"),
        (b"[" * 100_000, "invalid_upload"),
        (b'{"inputs": ' + b"[" * 100_000 + b"]" * 100_000 + b"}", "invalid_upload"),
    ],
)
async def test_wrong_hugging_face_request_is_a_problem(client: httpx.AsyncClient, body: bytes, code: str) -> None:
    answer = await client.post("/", content=body, headers={"Content-Type": "application/json"})
    assert answer.json()["code"] == code


@pytest.mark.anyio
async def test_huge_top_k_is_all_classes(client: httpx.AsyncClient) -> None:
    for top_k in ("1000000", "9" * 4_000):
        body = f'\ufeff{{"inputs": "{encoded(_PNG)}", "parameters": {{"top_k": {top_k}}}}}'
        answer = await client.post("/", content=body.encode(), headers={"Content-Type": "application/json"})
        assert len(answer.json()) == 3


@pytest.mark.anyio
async def test_other_models_are_not_there(client: httpx.AsyncClient) -> None:
    for method, path in (
        ("POST", "/models/other"),
        ("GET", "/v1/models/other"),
        ("POST", "/v1/models/other:predict"),
        ("GET", "/v2/models/other"),
        ("POST", "/v2/models/other/infer"),
    ):
        answer = await client.request(method, path, content=b"{}" if method == "POST" else None)
        assert (answer.status_code, answer.json()["code"]) == (404, "unknown_model")


# Open Inference Protocol


def test_triton_client_sees_health_and_metadata(inference: triton.InferenceServerClient) -> None:
    assert inference.is_server_live()
    assert inference.is_server_ready()
    assert inference.is_model_ready("tiny")
    assert inference.is_model_ready("tiny", "1")
    assert inference.get_server_metadata()["extensions"] == ["binary_tensor_data", "classification"]
    metadata = inference.get_model_metadata("tiny")
    assert metadata["inputs"] == [{"name": "image", "datatype": "BYTES", "shape": [-1]}]
    assert metadata["outputs"][0] == {"name": "probabilities", "datatype": "FP32", "shape": [-1, 3]}


@pytest.mark.parametrize("way", ["binary", "JSON"])
def test_triton_client_sends_files(
    inference: triton.InferenceServerClient, expected: list[dict[str, Any]], way: str
) -> None:
    is_binary, given = way == "binary", triton.InferInput("image", [2], "BYTES")
    data = [_PNG, _OTHER] if is_binary else [encoded(it).encode() for it in (_PNG, _OTHER)]
    given.set_data_from_numpy(np.array(data, np.object_), binary_data=is_binary)
    outputs = [
        triton.InferRequestedOutput(name, binary_data=is_binary) for name in ("probabilities", "label", "verdict")
    ]
    answer = inference.infer("tiny", [given], outputs=outputs, request_id="7")
    assert answer.get_response()["id"] == "7"
    for row, wanted in enumerate(expected):
        scores = {it["label"]: it["score"] for it in wanted["predictions"]}
        probabilities = answer.as_numpy("probabilities")[row]
        assert probabilities.tolist() == pytest.approx([scores[name] for name in ("bird", "cat", "dog")], abs=1e-3)
        label = answer.as_numpy("label")[row]
        assert (label.decode() if isinstance(label, bytes) else label) == wanted["label"]


@pytest.mark.parametrize("way", ["binary", "JSON"])
def test_triton_client_sends_pixels(
    inference: triton.InferenceServerClient, expected: list[dict[str, Any]], way: str
) -> None:
    is_binary = way == "binary"
    with Image.open(BytesIO(_PNG)) as image:
        pixels = np.asarray(image.convert("RGB"))
    for shaped in (pixels, pixels[None]):
        given = triton.InferInput("image", list(shaped.shape), "UINT8")
        given.set_data_from_numpy(shaped, binary_data=is_binary)
        answer = inference.infer("tiny", [given])
        best = answer.as_numpy("probabilities")[0].max()
        assert best == pytest.approx(expected[0]["score"], abs=1e-3)


def test_triton_client_asks_for_classes(
    inference: triton.InferenceServerClient, expected: list[dict[str, Any]]
) -> None:
    given = triton.InferInput("image", [1], "BYTES")
    given.set_data_from_numpy(np.array([_PNG], np.object_))
    outputs = [triton.InferRequestedOutput("probabilities", class_count=2)]
    (row,) = inference.infer("tiny", [given], outputs=outputs).as_numpy("probabilities")
    score, index, label = row[0].decode().split(":")
    assert len(row) == 2
    assert (label, ["bird", "cat", "dog"][int(index)]) == (expected[0]["label"],) * 2
    assert float(score) == pytest.approx(expected[0]["score"], abs=1e-3)


def _infer(**changes: Any) -> dict[str, Any]:
    given = {"name": "image", "shape": [1], "datatype": "BYTES", "data": [encoded(_PNG)]}
    return {"inputs": [given | changes]}


@pytest.mark.anyio
@pytest.mark.parametrize(
    "document",
    [
        {},
        {"inputs": []},
        {"inputs": [1]},
        _infer(name="picture"),
        _infer(shape="1"),
        _infer(shape=[-1]),
        _infer(shape=[True]),
        _infer(shape=[1.0]),
        _infer(datatype="UINT8", shape=[True, True, 3], data=[1, 2, 3]),
        _infer(datatype="UINT8", shape=[1, 1, 3], data=[True, 2, 3]),
        _infer(parameters={"binary_data_size": False}, data=None),
        _infer() | {"outputs": [{"name": "probabilities", "parameters": {"classification": True}}]},
        _infer() | {"outputs": [{"name": "label", "parameters": {"binary_data": 1}}]},
        _infer() | {"parameters": {"binary_data_output": "no"}},
        _infer(shape=[2**31 - 1] * 40_000),
        _infer() | {"id": 1},
        _infer() | {"id": "7" * 2_000},
        _infer() | {"outputs": [{"name": "label"}] * 2},
        _infer() | {"outputs": [{"name": "label", "parameters": {"classification": 1}}]},
        _infer(datatype="UINT8", shape=[1, 1, 3], data=["a" * 1_000_000] + [0] * 2_000),
        _infer(shape=[2]),
        _infer(datatype="FP32"),
        _infer(shape=[0], data=[]),
        _infer(shape=[1000], data=[""] * 1000),
        _infer(datatype="UINT8", shape=[1000, 1, 1, 3], data=[0] * 3000),
        _infer(data=[[]] * 300_000),
        _infer(data="x"),
        _infer(data=["!"]),
        _infer(data=[[encoded(_PNG)], 1]),
        _infer(datatype="UINT8", shape=[2, 2], data=[1, 2, 3, 4]),
        _infer(datatype="UINT8", shape=[1, 1, 3], data=[1, 2, 300]),
        _infer(datatype="UINT8", shape=[1, 1, 3], data=[1, 2, 0.5]),
        _infer(datatype="UINT8", shape=[1, 1, 3], data=[1, 2]),
        _infer(parameters={"binary_data_size": 5}),
        _infer() | {"outputs": [{"name": "logits"}]},
        _infer() | {"outputs": [{"name": "probabilities", "parameters": {"classification": 0}}]},
    ],
)
async def test_wrong_inference_request_is_a_problem(client: httpx.AsyncClient, document: dict[str, Any]) -> None:
    answer = await client.post("/v2/models/tiny/infer", json=document)
    assert (answer.status_code, answer.json()["code"]) == (422, "invalid_upload")


@pytest.mark.anyio
@pytest.mark.parametrize("length", ["x", "-1", "99999999", "1", "9" * 5_000])
async def test_header_length_that_is_wrong_is_a_problem(client: httpx.AsyncClient, length: str) -> None:
    headers = {"Inference-Header-Content-Length": length}
    answer = await client.post("/v2/models/tiny/infer", content=b"{}", headers=headers)
    assert (answer.status_code, answer.json()["code"]) == (422, "invalid_upload")


@pytest.mark.anyio
@pytest.mark.parametrize("binary", [b"\1", b"\5\0\0\0abc"])
async def test_binary_input_that_ends_early_is_a_problem(client: httpx.AsyncClient, binary: bytes) -> None:
    header = json.dumps(_infer(data=None, parameters={"binary_data_size": len(binary)})).encode()
    headers = {"Inference-Header-Content-Length": str(len(header))}
    answer = await client.post("/v2/models/tiny/infer", content=header + binary, headers=headers)
    assert answer.json()["code"] == "invalid_upload"


# KServe, Vertex AI and SageMaker


def curl(*arguments: str) -> Any:
    done = subprocess.run(["curl", "--silent", "--fail", *arguments], capture_output=True, check=True)  # noqa: S603, S607 - the client of who has none
    return json.loads(done.stdout) if done.stdout else None


@pytest.mark.parametrize("path", ["/v1/models/tiny:predict", "/predict", "/invocations"])
def test_instances_are_answered_in_order(
    server: Server, expected: list[dict[str, Any]], tmp_path: Path, path: str
) -> None:
    body = tmp_path / "body.json"
    body.write_text(json.dumps({"instances": [{"b64": encoded(_PNG)}, {"image_bytes": {"b64": encoded(_OTHER)}}]}))
    answer = curl("-H", "Content-Type: application/json", "--data-binary", f"@{body}", f"{server.address}{path}")
    for given, wanted in zip(answer["predictions"], expected, strict=True):
        assert given["label"] == wanted["label"]
        assert given["score"] == pytest.approx(wanted["score"], abs=1e-3)


@pytest.mark.parametrize("way", ["--http1.1", "--http2"])  # the latter offers an upgrade
def test_curl_sends_what_it_sends_by_default(
    server: Server, expected: list[dict[str, Any]], tmp_path: Path, way: str
) -> None:
    photo = tmp_path / "photo.png"
    photo.write_bytes(_PNG)
    address = f"{server.address}/invocations"
    for given in (["--data-binary", f"@{photo}"], ["--form", f"image=@{photo}"]):
        assert curl(way, *given, address)["label"] == expected[0]["label"]
    several = curl(way, "--form", f"files=@{photo}", "--form", f"files=@{photo}", f"{server.address}/predict/batch")
    assert len(several["results"]) == 2


@pytest.mark.parametrize("compression", ["gzip", "deflate"])
def test_triton_client_compresses(
    inference: triton.InferenceServerClient, expected: list[dict[str, Any]], compression: str
) -> None:
    given = triton.InferInput("image", [1], "BYTES")
    given.set_data_from_numpy(np.array([_PNG], np.object_))
    answer = inference.infer("tiny", [given], request_compression_algorithm=compression)
    assert answer.as_numpy("probabilities")[0].max() == pytest.approx(expected[0]["score"], abs=1e-3)


def test_platforms_find_the_service_healthy(server: Server) -> None:
    assert curl(f"{server.address}/ping") is None
    assert curl(f"{server.address}/healthy") == {"status": "ready"}
    assert curl(f"{server.address}/v1/models") == {"models": ["tiny"]}
    assert curl(f"{server.address}/v1/models/tiny") == {"name": "tiny", "ready": True}


def test_sagemaker_takes_a_picture_as_it_is(server: Server, expected: list[dict[str, Any]], tmp_path: Path) -> None:
    photo = tmp_path / "photo.png"
    photo.write_bytes(_PNG)
    answer = curl("-H", "Content-Type: image/png", "--data-binary", f"@{photo}", f"{server.address}/invocations")
    assert answer["label"] == expected[0]["label"]
    assert answer["score"] == pytest.approx(expected[0]["score"], abs=1e-3)


@pytest.mark.anyio
@pytest.mark.parametrize(
    "document",
    [
        {},
        {"instances": 1},
        {"instances": []},
        {"instances": [{"b64": ""}] * 1000},
        {"instances": ["x"]},
        {"instances": [{"a": 1, "b": 2}]},
        {"instances": [{"b64": 1}]},
    ],
)
async def test_instances_that_are_wrong_are_a_problem(client: httpx.AsyncClient, document: dict[str, Any]) -> None:
    answer = await client.post("/v1/models/tiny:predict", json=document)
    assert (answer.status_code, answer.json()["code"]) == (422, "invalid_upload")


@pytest.mark.anyio
async def test_protocols_can_be_turned_off(serving: Serving) -> None:
    async with serving(protocols="kserve") as client:
        assert (await client.get("/v1/models")).status_code == 200
        assert (await client.get("/v2")).status_code == 404
    async with serving(protocols="none") as client:
        for method, path in (("GET", "/v1/models"), ("GET", "/ping"), ("POST", "/v2/models/tiny/infer")):
            assert (await client.request(method, path)).status_code == 404
        for path in ("/", "/models/tiny"):  # a page, and a description
            assert (await client.post(path)).status_code == 405


def test_platforms_port_is_taken_unless_one_is_set(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AIP_HTTP_PORT", "8081")
    assert load_settings().port == 8081
    assert load_settings(port="9000").port == 9000
    monkeypatch.setenv("WHISKER_PORT", "9001")
    assert load_settings().port == 9001
