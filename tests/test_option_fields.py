"""Each option is a field of a frozen dataclass, which says its default, its unit, and the reason or the danger."""

from __future__ import annotations

import ast
import inspect
import re
from collections.abc import Iterator
from dataclasses import fields

import pytest

import wsframe
from wsframe import backplane, centrifuge

OPTIONS: list[type] = [
    wsframe.Backoff,
    wsframe.Capacity,
    wsframe.Cluster,
    wsframe.Deflate,
    wsframe.Limits,
    wsframe.Opening,
    wsframe.ServeOptions,
    wsframe.Timeouts,
    backplane.History,
    centrifuge.CentrifugeOptions,
]
UNITS = (
    "bytes?|seconds?|messages?|frames?|clients?|newcomers|channels|commands|connections|redirects|port|permissions|"
    "levels?|times|in seconds"
)
NUMBERS = re.compile(r"\b(int|float)\b")
LEAST_PARTS = 3
"""Clauses of a field's text: its subject, its default, and a reason, a danger or the fate of more."""


def documented(kind: type) -> Iterator[tuple[str, str, str]]:
    """Yield the name, the type and the text of each field of a dataclass."""
    body = ast.parse(inspect.getsource(kind)).body[0]
    assert isinstance(body, ast.ClassDef)
    names = {field.name for field in fields(kind)}
    for node, after in zip(body.body, [*body.body[1:], None], strict=True):
        if isinstance(node, ast.AnnAssign) and isinstance(node.target, ast.Name) and node.target.id in names:
            text = after.value if isinstance(after, ast.Expr) else None
            found = text.value if isinstance(text, ast.Constant) and isinstance(text.value, str) else ""
            yield node.target.id, ast.unparse(node.annotation), " ".join(found.split())


FIELDS = [(kind, *field) for kind in OPTIONS for field in documented(kind)]


def named(value: object) -> str:
    return getattr(value, "__name__", str(value))


@pytest.mark.parametrize("kind", OPTIONS, ids=named)
def test_options_are_frozen_and_given_by_keyword(kind: type) -> None:
    parameters = kind.__dataclass_params__  # type: ignore[attr-defined]
    assert parameters.frozen
    assert all(field.kw_only for field in fields(kind))
    assert [name for name, _, _ in documented(kind)] == [field.name for field in fields(kind)]


def test_each_field_says_its_default() -> None:
    assert [f"{kind.__name__}.{name}" for kind, name, _, text in FIELDS if not re.search(r"\b[Dd]efault", text)] == []


def test_each_number_has_a_unit() -> None:
    missing = []
    for kind, name, type_of_it, text in FIELDS:
        about = f"{name} {text} {inspect.getdoc(kind)}".replace("_", " ")
        if NUMBERS.search(type_of_it) and not re.search(rf"\b({UNITS})\b", about, re.IGNORECASE):
            missing.append(f"{kind.__name__}.{name}")
    assert missing == []


def test_each_field_says_why_or_what_more_of_it_does() -> None:
    short = [
        f"{kind.__name__}.{name}: {text}"
        for kind, name, _, text in FIELDS
        if len(re.split(r"[.;:,]\s", text)) < LEAST_PARTS
    ]
    assert short == []


def test_every_public_dataclass_of_options_is_checked() -> None:
    public = {
        value
        for module in (wsframe, backplane, centrifuge)
        for name in module.__all__
        if isinstance(value := getattr(module, name), type) and hasattr(value, "__dataclass_params__")
    }
    optional = {kind for kind in public if all(field.kw_only for field in fields(kind))}
    given = {kind for kind in optional if kind.__name__.endswith(("Options", "Limits", "Timeouts"))}
    assert given <= set(OPTIONS)
