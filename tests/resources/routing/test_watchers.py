"""The servers that follow a registry."""

from __future__ import annotations

import pytest

from wsframe.resources.routing.watchers import Watchers


def test_each_watcher_is_told_of_each_change() -> None:
    watchers, told = Watchers(), list[str]()

    def one() -> None:
        told.append("one")

    watchers.add(one)
    watchers.add(lambda: told.append("other"))
    watchers.tell()
    watchers.remove(one)
    watchers.tell()
    assert told == ["one", "other", "other"]


def test_nothing_changes_while_workers_serve() -> None:
    watchers = Watchers()
    watchers.check()
    watchers.frozen = True
    with pytest.raises(RuntimeError, match="a factory for paths that are known later"):
        watchers.check()
    watchers.frozen = False
    watchers.check()
