"""Other services' protocols for a multi-label checkpoint: scores of all classes, and which of them are labels."""

import base64
import json
from collections.abc import AsyncIterator, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import httpx
import numpy as np
import pytest
import tritonclient.http as triton
from huggingface_hub import InferenceClient

from tests.app.conftest import Server, Serving, picture
from whisker.app.client import AsyncClient, Client
from whisker.model import Checkpoint, build_network, save_checkpoint, with_golden_answers
from whisker.model.answers.single_label import NOT_SHOWN
from whisker.model.checkpoint.contents import Thresholds

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
async def test_hugging_face_lists_all_classes_however_many(
    serving: Serving, several: Checkpoint, tmp_path: Path
) -> None:
    """A single-label checkpoint lists the best five by default."""
    classes = tuple("abcdefg")
    state = build_network(several.network, len(classes)).state_dict()
    thresholds = Thresholds(labels=(0.5,) * len(classes), guaranteed=(True,) * len(classes))
    many = replace(several, classes=classes, state=state, thresholds=thresholds)
    for task, listed in (("multi-label", 7), ("single-label", 5)):
        checkpoint = with_golden_answers(many if task == "multi-label" else replace(many, task="single-label"))
        save_checkpoint(checkpoint, tmp_path / f"{task}.safetensors")
        async with serving(checkpoint=tmp_path / f"{task}.safetensors") as client:
            for body in (_PNG, json.dumps({"inputs": base64.b64encode(_PNG).decode()}).encode()):
                kind = "image/png" if body == _PNG else "application/json"
                answer = await client.post("/", content=body, headers={"Content-Type": kind})
                assert len(answer.json()) == listed


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
        (output,) = (await client.post("/v2/models/tiny/infer", json=asked)).json()["outputs"]
        instances = await client.post("/v1/models/tiny:predict", json={"instances": [{"b64": encoded}]})
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
