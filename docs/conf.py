"""Configuration of the documentation."""

import re
import sys
from dataclasses import MISSING, fields, is_dataclass
from typing import Any

from docutils import nodes
from sphinx.application import Sphinx

import wsframe
from wsframe.limits import DEFAULT_LIMITS, DEFAULT_TIMEOUTS

project = "wsframe"
author = "the wsframe authors"
copyright = "the wsframe authors"
version = release = wsframe.__version__

extensions = ["sphinx.ext.autodoc", "sphinx.ext.napoleon"]
exclude_patterns = ["_build"]
html_theme = "furo"
html_title = f"wsframe {version.partition('+')[0]}"  # without the commit, for which the column is too narrow
html_static_path = ["_static"]
html_css_files = ["wsframe.css"]
default_role = "any"

autodoc_member_order = "bysource"
autodoc_typehints_format = "short"
autodoc_preserve_defaults = True
napoleon_numpy_docstring = False

# Names of the standard library and of trio, whose documentation is elsewhere, and type variables.
nitpick_ignore_regex = [
    (r"py:.*", r"(collections|contextlib|enum|inspect|os|random|socket|ssl|trio|typing|types)\..*"),
    (r"py:.*", r"(\w*Error|\w*Exception\w*|ExceptionGroup|int|str|bytes|float|object|optional)"),
    (r"py:.*", r"(.*\.)?(DataT|ResultT|ArgsT|BytesLike|AnyClient|Overflow|Ordering|HeaderFields|Poller\w*|Any)"),
    (r"py:.*", r"(.*\.)?(\w+FunctionT|DefaultT)"),
    (r"py:.*", r"(.*\.)?(Life|ClientLink|Outbox|Registration|HandlerT|SSLContext|TaskStatus)"),
    (r"py:.*", r"(.*\.)?(Functions|HandlerKeywords|Node|PublishOptions|BroadcastOptions|ResourceClassT|Served)"),
]


def find_public_name(app: Sphinx, env: Any, node: nodes.Element, contnode: nodes.TextElement) -> nodes.reference | None:
    """Resolve a name to where it is documented: wsframe.resources.client.Client is wsframe.Client there."""
    name = str(node.get("reftarget", "")).rpartition(".")[2]
    if node.get("refdomain") != "py" or name not in wsframe.__all__:
        return None
    python = env.get_domain("py")
    found: nodes.reference | None = python.resolve_xref(
        env, node["refdoc"], app.builder, "obj", f"wsframe.{name}", node, contnode
    )
    return found


def tidy(app: Sphinx, what: str, name: str, obj: object, options: Any, lines: list[str]) -> None:
    """Keep napoleon from taking the words before a colon, in the first line about an attribute, for a type."""
    if lines and lines[0].startswith("Alias for field number"):
        lines.clear()
    elif what in ("attribute", "property"):
        lines[:0] = ["..", ""]  # an empty comment


def show_defaults(
    app: Sphinx, what: str, name: str, obj: object, options: Any, signature: str | None, returns: str | None
) -> tuple[str | None, str | None]:
    """Show values: of limits and timeouts that a resource leaves to the server, of constants, and of factories."""
    defaults = {"wsframe.Limits": DEFAULT_LIMITS, "wsframe.Timeouts": DEFAULT_TIMEOUTS}.get(name)
    if defaults is None:
        return signature and with_values(signature, obj), returns
    shown = ", ".join(f"{field.name}: {field.type} = {getattr(defaults, field.name)}" for field in fields(defaults))
    return f"(*, {shown})", returns


def with_values(signature: str, obj: object) -> str:
    """Return a signature with the value of each constant that is a default, and of the factory of a field."""
    constants = vars(sys.modules[getattr(obj, "__module__", None) or __name__])

    def value(found: re.Match[str]) -> str:
        constant = constants.get(found[1])
        return f"= {constant!r}" if isinstance(constant, int | float | str) else found[0]

    if is_dataclass(obj):
        for field in fields(obj):
            if field.default_factory is not MISSING:
                signature = re.sub(" ?= ?<factory>", f" = {field.default_factory()!r}", signature, count=1)
    return re.sub(r"= ([A-Z][A-Z_]+)\b", value, signature)


def setup(app: Sphinx) -> None:
    app.connect("autodoc-process-docstring", tidy, priority=400)
    app.connect("autodoc-process-signature", show_defaults)
    app.connect("missing-reference", find_public_name)
