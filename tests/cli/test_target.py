"""The module or file a command works on."""

import pytest

from wsframe.cli.target import split_target


@pytest.mark.parametrize(
    ("target", "name", "attribute"),
    [
        ("chat", "chat", ""), ("pkg.chat", "pkg.chat", ""), ("chat:registry", "chat", "registry"),
        ("chat.py", "chat.py", ""), ("chat.py:registry", "chat.py", "registry"),
        (r"C:\chat.py", r"C:\chat.py", ""), (r"C:\chat.py:registry", r"C:\chat.py", "registry"),
        ("chat:", "chat", ""),
    ],
)  # fmt: skip
def test_a_name_in_a_target_stands_behind_its_last_colon(target: str, name: str, attribute: str) -> None:
    assert split_target(target) == (name, attribute)
