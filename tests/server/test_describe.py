"""The one line about an error that keeps a server from its start."""

import pytest

from wsframe.server.describe import describe


def test_an_exception_is_described_in_one_line_with_its_place() -> None:
    with pytest.raises(ValueError, match="two") as caught:
        raise ValueError("two\nlines")
    said = describe(caught.value)
    assert said.startswith("ValueError: two lines (")
    assert f"{__file__}, line " in said
    assert "\n" not in said


def test_a_syntax_error_names_its_place_itself() -> None:
    with pytest.raises(SyntaxError) as caught:
        compile("1 +", "user.py", "exec")
    assert "user.py, line 1" in describe(caught.value)
    assert __file__ not in describe(caught.value)


def test_the_place_is_where_users_call_us_and_not_ours() -> None:
    import wsframe

    with pytest.raises(ValueError, match="path") as caught:
        wsframe.Registry().register("no slash", wsframe.Resource())
    assert f"({__file__}, line " in describe(caught.value)
