"""A multi-label checkpoint behind the service's own routes; and single-label answers, which are what they were."""

import json
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import httpx
import pytest
from prometheus_client.parser import text_string_to_metric_families

from tests.app.conftest import Serving, picture
from whisker.app.schemas import BatchAnswer, ModelCard, PredictionAnswer
from whisker.model import Classifier
from whisker.training.data.folders.folder import find_photos

pytestmark = pytest.mark.anyio

_AGREED = {"label": ["dog", "cat"], "consent": "yes"}


@pytest.fixture(scope="module")
async def labelling(serving: Serving, several_file: Path) -> AsyncIterator[httpx.AsyncClient]:
    async with serving(checkpoint=several_file) as client:
        yield client


def photo() -> dict[str, tuple[str, bytes]]:
    return {"file": ("a.png", picture())}


async def test_answer_lists_the_labels_best_first(labelling: httpx.AsyncClient, several_file: Path) -> None:
    response = await labelling.post("/predict", files=photo(), params={"top_k": 1})
    answer = PredictionAnswer.model_validate_json(response.content, strict=True, extra="forbid")
    (expected,) = Classifier.load(several_file, engine="torch").predict([picture()])
    assert answer.labels is not None
    assert expected.labels is not None
    assert [it.label for it in answer.labels] == ["bird", "cat"]
    assert [it.score for it in answer.labels] == pytest.approx([it.score for it in expected.labels], abs=1e-5)
    assert (answer.label, answer.score, answer.verdict) == ("bird", answer.labels[0].score, "confident")
    assert len(answer.predictions) == 1  # top_k limits the classes that are listed, not the labels
    assert "reason" not in response.json()


async def test_doubtful_answer_says_why(serving: Serving, doubtful_file: Path) -> None:
    async with serving(checkpoint=doubtful_file) as client:
        answer = (await client.post("/predict", files=photo())).json()
    assert (answer["verdict"], answer["reason"]) == ("unsure", "Likely, but below the threshold: cat.")
    assert [it["label"] for it in answer["labels"]] == ["bird"]


async def test_single_label_answers_are_what_they_were(client: httpx.AsyncClient) -> None:
    """To the byte, but for the figures: no key more, no key less, in this order."""
    response = await client.post("/predict?explain=top", files=photo())
    answer, common = response.json(), ["label", "score", "verdict", "unknown_score", "predictions", "image"]
    assert [*answer] == [*common, "heat_map", "model", "timing_ms"]
    assert response.content == json.dumps(answer, separators=(",", ":")).encode()
    several = (await client.post("/predict/batch", files=photo())).json()["results"][0]["prediction"]
    assert [*several] == [*common, "timing_ms"]


async def test_batch_and_heat_maps_work_as_ever(labelling: httpx.AsyncClient) -> None:
    response = await labelling.post("/predict/batch?explain=cat", files=[("file", ("a.png", picture()))] * 2)
    answer = BatchAnswer.model_validate_json(response.content, strict=True, extra="forbid")
    for result in answer.results:
        assert result.prediction is not None
        assert result.prediction.heat_map is not None
        assert result.prediction.heat_map.label == "cat"
        assert [it.label for it in result.prediction.labels or ()] == ["bird", "cat"]
    drawing = await labelling.post("/explain", files=photo(), params={"label": "dog"})
    assert drawing.headers["content-type"] == "image/png"


async def test_card_tells_the_task_and_each_threshold(labelling: httpx.AsyncClient, client: httpx.AsyncClient) -> None:
    document = (await labelling.get("/model")).json()
    card = ModelCard.model_validate(document)
    assert (card.task, card.thresholds) == ("multi-label", {"unsure": None, "shown": None, "unknown": None})
    assert document["label_thresholds"] == [
        {"label": "bird", "threshold": 0.9, "guaranteed": True},
        {"label": "cat", "threshold": 0.6, "guaranteed": True},
        {"label": "dog", "threshold": 0.9, "guaranteed": True},
    ]
    single = (await client.get("/model")).json()
    assert (single["task"], single["label_thresholds"]) == ("single-label", None)
    older = {name: value for name, value in single.items() if name not in {"task", "label_thresholds"}}
    assert ModelCard.model_validate(older).task == "single-label"  # from a service that knew no other


async def test_openapi_describes_labels_as_optional(client: httpx.AsyncClient) -> None:
    schemas = (await client.get("/openapi.json")).json()["components"]["schemas"]
    for name in ("PredictionAnswer", "PicturePrediction"):
        assert "all classes whose score reaches their threshold" in schemas[name]["properties"]["labels"]["description"]
        assert not {"labels", "reason"} & {*schemas[name]["required"]}
    assert schemas["ModelCard"]["properties"]["task"]["enum"] == ["single-label", "multi-label"]


async def test_each_label_found_is_counted(serving: Serving, several_file: Path) -> None:
    async with serving(checkpoint=several_file) as client:
        for _ in range(3):
            await client.post("/predict", files=photo())
        text = (await client.get("/metrics")).text
    counted = {
        sample.labels["label"]: sample.value
        for family in text_string_to_metric_families(text)
        for sample in family.samples
        if sample.name == "whisker_predictions_total"
    }
    assert counted == {"bird": 3, "cat": 3}


# Corrections


async def test_correction_of_several_labels_lies_under_each_and_is_trained_on_as_one_photo(
    serving: Serving, several_file: Path, tmp_path: Path
) -> None:
    async with serving(checkpoint=several_file, corrections=tmp_path) as client:
        for _ in range(2):  # the same again is no other
            answer = await client.post("/corrections", files=photo(), data=_AGREED)
            assert answer.status_code == 201
        alone = await client.post("/corrections", files={"file": ("b.png", picture(colour="red"))}, data=_one("bird"))
    said = answer.json()
    assert said == {"label": "dog", "labels": ["dog", "cat"], "photo": said["photo"]}
    assert alone.json()["labels"] == ["bird"]
    assert [path for path in _files(tmp_path) if said["photo"] in path] == [
        f"cat/{said['photo']}",
        f"dog/{said['photo']}",
    ]
    first, second = map(json.loads, (tmp_path / "corrections.jsonl").read_text().splitlines())
    assert (first["photo"], first["labels"]) == (f"dog/{said['photo']}", ["dog", "cat"])
    assert (first["answered"]["labels"], second["labels"]) == (["bird", "cat"], ["bird"])
    folder = find_photos(tmp_path, multi_label=True)
    found = [{folder.classes[label] for label in file.labels} for file in folder.files]
    assert found == [{"bird"}, {"cat", "dog"}]


async def test_later_correction_takes_the_place_of_an_earlier_one(
    serving: Serving, several_file: Path, tmp_path: Path
) -> None:
    async with serving(checkpoint=several_file, corrections=tmp_path) as client:
        for data in (_AGREED, _one("cat")):
            answer = await client.post("/corrections", files=photo(), data=data)
            assert answer.status_code == 201
    assert _files(tmp_path) == [f"cat/{answer.json()['photo']}", "corrections.jsonl"]
    lines = [*map(json.loads, (tmp_path / "corrections.jsonl").read_text().splitlines())]
    assert [line["labels"] for line in lines] == [["dog", "cat"], ["cat"]]


@pytest.mark.parametrize(
    ("labels", "code"), [(["dog", "wolf"], "unknown_class"), ([], "unknown_class"), ([""], "unknown_class")]
)
async def test_correction_with_a_label_that_is_none_is_refused(
    serving: Serving, several_file: Path, tmp_path: Path, labels: list[str], code: str
) -> None:
    async with serving(checkpoint=several_file, corrections=tmp_path) as client:
        answer = await client.post("/corrections", files=photo(), data={"label": labels, "consent": "yes"})
        assert (answer.status_code, answer.json()["code"]) == (422, code)
    assert _files(tmp_path) == []


async def test_single_label_checkpoint_takes_one_label(serving: Serving, tmp_path: Path) -> None:
    async with serving(corrections=tmp_path) as client:
        answer = await client.post("/corrections", files=photo(), data=_AGREED)
        assert (answer.status_code, answer.json()["code"]) == (422, "invalid_upload")
        kept = await client.post("/corrections", files=photo(), data=_one("dog"))
    assert [*kept.json()] == ["label", "photo"]
    (line,) = map(json.loads, (tmp_path / "corrections.jsonl").read_text().splitlines())
    assert [*line] == ["time", "photo", "label", "answered", "model"]


def _one(label: str) -> dict[str, Any]:
    return {"label": label, "consent": "yes"}


def _files(folder: Path) -> list[str]:
    return sorted(str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file())
