"""Other services' protocols for a multi-label checkpoint: scores of all classes, and which of them are labels."""

import base64
import json
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any

import httpx
import numpy as np
import pytest
import tritonclient.http as triton
from huggingface_hub import InferenceClient

from tests.app.conftest import Server, Serving, picture
from whisker.app.client import AsyncClient, Client
from whisker.model.answers.single_label import NOT_SHOWN

_PNG = picture(colour="red")
_CLASSES = ("bird", "cat", "dog")


@pytest.fixture(scope="module")
def server(several_file: Path) -> Iterator[Server]:
    server = Server(several_file, "--inference-workers=1")
    yield server
    server.clean_up()


@pytest.fixture(scope="module")
def expected(server: Server) -> dict[str, Any]:
    answer: dict[str, Any] = server.client.post("/predict", content=_PNG, headers={"Content-Type": "image/png"}).json()
    return answer


@pytest.fixture(scope="module")
async def labelling(serving: Serving, several_file: Path) -> AsyncIterator[httpx.AsyncClient]:
    async with serving(checkpoint=several_file) as client:
        yield client


def test_hugging_face_client_gets_every_class_with_its_own_score(server: Server, expected: dict[str, Any]) -> None:
    client = InferenceClient(model=server.address)
    answer = client.image_classification(_PNG)
    assert [(it.label, pytest.approx(it.score, abs=1e-3)) for it in answer] == [
        (it["label"], it["score"]) for it in expected["predictions"]
    ]
    assert sum(it.score for it in answer) > 1.5  # sigmoids do not add up to 1
    assert len(client.image_classification(_PNG, top_k=1)) == 1


@pytest.mark.anyio
async def test_hugging_face_lists_more_classes_than_a_single_label_checkpoint_would(
    serving: Serving, several_file: Path, monkeypatch: pytest.MonkeyPatch, tiny: Path
) -> None:
    monkeypatch.setattr("whisker.app.protocols.huggingface.DEFAULT_TOP_K", 1)
    listed = []
    for checkpoint in (several_file, tiny):
        async with serving(checkpoint=checkpoint) as client:
            body = {"inputs": base64.b64encode(_PNG).decode()}
            listed.append(
                [len((await client.post("/", json=body)).json()), len((await client.post("/", content=_PNG)).json())]
            )
    assert listed == [[3, 3], [1, 1]]


@pytest.mark.parametrize("is_binary", [True, False])
def test_triton_client_gets_probabilities_and_marks_of_labels(
    server: Server, expected: dict[str, Any], *, is_binary: bool
) -> None:
    with triton.InferenceServerClient(server.address.removeprefix("http://")) as client:
        outputs = {it["name"]: it for it in client.get_model_metadata("several")["outputs"]}
        assert outputs["labels"] == {"name": "labels", "datatype": "BOOL", "shape": [-1, 3]}
        given = triton.InferInput("image", [2], "BYTES")
        given.set_data_from_numpy(np.array([_PNG, _PNG], np.object_))
        wanted = [triton.InferRequestedOutput(name, binary_data=is_binary) for name in ("probabilities", "labels")]
        answer = client.infer("several", [given], outputs=wanted)
    scores = {it["label"]: it["score"] for it in expected["predictions"]}
    for row in range(2):
        assert answer.as_numpy("probabilities")[row].tolist() == pytest.approx(
            [scores[name] for name in _CLASSES], abs=1e-3
        )
        assert answer.as_numpy("labels")[row].tolist() == [True, True, False]


@pytest.mark.anyio
async def test_single_label_checkpoint_has_no_output_of_labels(client: httpx.AsyncClient) -> None:
    outputs = (await client.get("/v2/models/tiny")).json()["outputs"]
    assert [it["name"] for it in outputs] == ["probabilities", "label", "verdict", "reason"]
    given = {"name": "image", "shape": [1], "datatype": "BYTES", "data": [base64.b64encode(_PNG).decode()]}
    answer = await client.post("/v2/models/tiny/infer", json={"inputs": [given], "outputs": [{"name": "labels"}]})
    assert (answer.status_code, answer.json()["code"]) == (422, "invalid_upload")
    whole = (await client.post("/v2/models/tiny/infer", json={"inputs": [given]})).json()
    assert [it["name"] for it in whole["outputs"]] == ["probabilities", "label", "verdict", "reason"]


@pytest.mark.anyio
async def test_every_protocol_with_room_for_a_text_has_the_reason(serving: Serving, unproven: Path) -> None:
    encoded = base64.b64encode(_PNG).decode()
    given = {"name": "image", "shape": [1], "datatype": "BYTES", "data": [encoded]}
    async with serving(checkpoint=unproven) as client:
        asked = {"inputs": [given], "outputs": [{"name": "reason"}]}
        (output,) = (await client.post("/v2/models/unproven/infer", json=asked)).json()["outputs"]
        instances = await client.post("/v1/models/unproven:predict", json={"instances": [{"b64": encoded}]})
    assert output == {"name": "reason", "datatype": "BYTES", "shape": [1], "data": [NOT_SHOWN]}
    assert instances.json()["predictions"][0]["reason"] == NOT_SHOWN


@pytest.mark.anyio
async def test_instances_and_invocations_have_the_labels(labelling: httpx.AsyncClient) -> None:
    body = json.dumps({"instances": [{"b64": base64.b64encode(_PNG).decode()}]})
    for path in ("/v1/models/several:predict", "/invocations"):
        answer = await labelling.post(path, content=body, headers={"Content-Type": "application/json"})
        (prediction,) = answer.json()["predictions"]
        assert [it["label"] for it in prediction["labels"]] == ["bird", "cat"]
    raw = await labelling.post("/invocations", content=_PNG, headers={"Content-Type": "image/png"})
    assert [it["label"] for it in raw.json()["labels"]] == ["bird", "cat"]


@pytest.mark.anyio
async def test_python_client_has_the_labels(server: Server) -> None:
    with Client(server.address) as client:
        answer = client.predict(_PNG)
        assert client.model().task == "multi-label"
    assert [it.label for it in answer.labels or ()] == ["bird", "cat"]
    async with AsyncClient(server.address) as asynchronous:
        assert (await asynchronous.predict(_PNG)).labels == answer.labels
