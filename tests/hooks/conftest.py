"""The fixtures of these tests."""

import pytest

from tests.hostile.place import certificates, info, place, plain, secure
from tests.sides import ORDERINGS, Side, Target

__all__ = ["certificates", "info", "place", "plain", "secure", "sides"]


@pytest.fixture(params=ORDERINGS, ids=lambda pair: f"{pair[0].ordering}-{pair[1].ordering}")
def sides(request: pytest.FixtureRequest) -> tuple[Side, Target]:
    """Give two resources, the first of which moves its clients to the second."""
    lobby, room = (kind() for kind in request.param)
    lobby.target = room
    return lobby, room
