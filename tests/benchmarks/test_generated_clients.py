"""What is said where a generator of clients is missing; with the generators, the benchmark runs their clients."""

import re
import sys
from pathlib import Path

import pytest

from benchmarks.errors import BenchmarkError
from benchmarks.generated_clients.generators import GENERATORS, Generator, Tools


@pytest.mark.parametrize("generator", [it for it in GENERATORS if it.packages], ids=lambda it: it.name)
def test_missing_generator_is_said_in_one_sentence(generator: Generator, tmp_path: Path) -> None:
    with pytest.raises(BenchmarkError, match=rf"{re.escape(generator.name)} is not here: npm install .+\.$"):
        generator.version(Tools(sys.executable, "node", tmp_path))
