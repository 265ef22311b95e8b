"""The load generator, built once."""

import sys

import pytest

from benchmarks.generator import Generator, build
from tests.requirements import missing, require


@pytest.fixture(scope="session")
def generator(tmp_path_factory: pytest.TempPathFactory) -> Generator:
    if sys.platform != "linux":
        missing("the load generator needs epoll")
    require("cc")
    return build(tmp_path_factory.mktemp("load"))
