"""An AsyncAPI 3.0 document of the resources in registries: a channel for each path, and its messages.

It describes as much as a class declares: the types of a :class:`JSONResource`, else which kinds of
messages have a hook. The messages that other resources send are not in it, nor which clients can connect.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from inspect import cleandoc, isroutine, signature, unwrap
from types import NoneType, SimpleNamespace, UnionType
from typing import Annotated, Any, NamedTuple, TypeAlias, Union, get_args, get_origin, get_type_hints

from wsframe.resources.json_resource import JSONResource, schema_of_object
from wsframe.resources.resource import Resource
from wsframe.resources.routing.factories import Factory, written_name
from wsframe.resources.routing.registry import Registry

__all__ = ["document"]

Object: TypeAlias = dict[str, Any]
Kind: TypeAlias = object
"""A kind of message: a type of JSON, or for other kinds their part of the document."""

TEXT: Object = {"name": "text", "contentType": "text/plain", "payload": {"type": "string"}}
BINARY: Object = {
    "name": "binary",
    "contentType": "application/octet-stream",
    "payload": {"type": "string", "format": "binary"},
}

# Where a schema holds others: one, a list of them, or some by name.
SINGLE = {"items", "additionalProperties", "propertyNames", "contains", "not"}
LISTED = {"anyOf", "allOf", "oneOf", "prefixItems"}
NAMED = {"properties", "patternProperties"}


class DescribedPath(NamedTuple):
    """A path, and the class and description of the resource that serves it."""

    path: str
    cls: type[Resource[Any]] | None
    """None if a factory does not declare the class of its resources."""
    description: str


def document(*registries: Registry, title: str, version: str) -> Object:
    """Make the document.

    Args:
        registries: The registries to describe; a resource that another one hides is left out.
            A factory is known by the class that its return annotation names.
        title: Of the application.
        version: Of its interface.

    Source: AsyncAPI 3.0.0, with version 0.1.0 of its bindings for WebSockets.
    """
    found = [(place, kinds_of(place.cls)) for place in places(registries)]
    payloads = Payloads([kind for _, kinds in found for some in kinds.values() for kind in some])
    channels: Object = {}
    operations: Object = {}
    for place, kinds in found:
        name = unused(identifier(place.path) or "root", channels)
        messages: Object = {}
        channels[name] = channel(place, messages)
        for action, some in kinds.items():
            names = [add(messages, payloads.message(kind)) for kind in some]
            if names:
                operations[f"{action}-{name}"] = {
                    "action": action,
                    "channel": {"$ref": f"#/channels/{name}"},
                    "messages": [{"$ref": f"#/channels/{name}/messages/{message}"} for message in names],
                }
    return {
        "asyncapi": "3.0.0",
        "info": information(registries, title, version),
        "channels": channels,
        "operations": operations,
        "components": {"schemas": payloads.components},
    }


def information(registries: Sequence[Registry], title: str, version: str) -> Object:
    made: Object = {"title": title, "version": version}
    dispatchers = [written_name(dispatcher) for registry in registries for dispatcher, _ in registry.table.dispatchers]
    if dispatchers:
        made["description"] = f"{', '.join(dispatchers)} can choose resources for other paths; these are not in here."
    return made


def places(registries: Sequence[Registry]) -> Iterator[DescribedPath]:
    """Yield each path that leads to its own registration, and not to an earlier one that matches too."""
    for registry in registries:
        for path, registration in registry.table.registrations():
            first = next(found for other in registries if (found := other.table.lookup(path)) is not None)
            if first[0] is registration:
                yield place_of(path, registration.resource)


def place_of(path: str, resource: Resource[Any] | Factory) -> DescribedPath:
    cls = returned_class(resource.make) if isinstance(resource, Factory) else type(resource)
    if cls is not None:
        return DescribedPath(path, cls, cleandoc(cls.__doc__ or ""))
    assert isinstance(resource, Factory)
    return DescribedPath(
        path,
        None,
        f"Made by {written_name(resource.make)}, which does not say of which class; its messages are not known.",
    )


def returned_class(make: Callable[..., object]) -> type[Resource[Any]] | None:
    """Return the one class of resource that a factory's annotation names; None if it names none."""
    function: Any = make
    while isinstance(function, partial):
        function = function.func
    if not isroutine(function):
        function = type(function).__call__
    try:
        # The return type alone: the names in the others can exist for type checkers only.
        annotated = SimpleNamespace(__annotations__={"return": signature(make).return_annotation})
        returned = get_type_hints(annotated, getattr(unwrap(function), "__globals__", {}))["return"]
    except Exception:  # whatever somebody wrote there
        return None
    classes = [get_origin(one) or one for one in members(returned) if one is not NoneType]
    known = [cls for cls in classes if isinstance(cls, type) and issubclass(cls, Resource) and cls is not Resource]
    return known[0] if len(known) == len(classes) == 1 else None


def kinds_of(cls: type[Resource[Any]] | None) -> dict[str, list[Kind]]:
    """Return the kinds of messages that a resource receives and sends, as far as its class shows."""
    receives: list[Kind] = []
    sends: list[Kind] = []
    if cls is None:
        return {}
    if issubclass(cls, JSONResource) and cls._decoder is not None:
        receives += members(cls._takes)
    elif cls.received_text not in (Resource.received_text, JSONResource.received_text):
        receives.append(TEXT)
    if cls.received_binary is not Resource.received_binary:
        receives.append(BINARY)
    if issubclass(cls, JSONResource) and cls.sends is not None:
        sends += members(cls.sends)
    return {"receive": receives, "send": sends}


def members(declared: object) -> list[Kind]:
    """Split a union into its types, each a message of its own."""
    return list(get_args(declared)) if get_origin(declared) in (Union, UnionType) else [declared]


def channel(place: DescribedPath, messages: Object) -> Object:
    made: Object = {"address": place.path, "messages": messages, "bindings": {"ws": {"method": "GET"}}}
    if place.description:
        made["description"] = place.description
    parameters = re.findall(r"{(\w+)}", place.path)
    if parameters:
        made["parameters"] = {name: {} for name in parameters}
    return made


class Payloads:
    """The schemas of all types of JSON in a document; those with a name are shared.

    Args:
        kinds: All kinds of messages: only together are names given so that no two are equal.
    """

    def __init__(self, kinds: list[Kind]) -> None:
        self._types = [kind for kind in kinds if not isinstance(kind, dict)]
        schemas: tuple[Object, ...] = ()
        components: Object = {}
        if self._types:
            from msgspec.json import schema_components  # which is there, or there would be no types

            schemas, components = schema_components(
                self._types, schema_hook=schema_of_object, ref_template="#/components/schemas/{name}"
            )
        self._schemas = [draft_07(schema) for schema in schemas]
        self.components: dict[str, object] = {name: draft_07(schema) for name, schema in components.items()}

    def message(self, kind: Kind) -> Object:
        """Return the message of a kind, as the document has it."""
        if isinstance(kind, dict):
            return kind
        bare = get_args(kind)[0] if get_origin(kind) is Annotated else kind
        name = identifier(getattr(bare, "__name__", "")) or "message"
        schema = self._schemas[self._types.index(kind)]
        return {"name": name, "contentType": "application/json", "payload": schema}


def draft_07(schema: object) -> object:
    """Write a schema of draft 2020-12 as one of draft 7, which AsyncAPI uses."""
    if not isinstance(schema, dict):
        return schema
    made: Object = {}
    for key, value in schema.items():
        if key in SINGLE:
            made[key] = draft_07(value)
        elif key in LISTED:
            made[key] = [draft_07(one) for one in value]
        elif key in NAMED:
            made[key] = {name: draft_07(one) for name, one in value.items()}
        elif key != "discriminator":  # AsyncAPI has another of that name; the tag is in each member anyway
            made[key] = value
    if "prefixItems" in made:
        made["additionalItems"] = made.pop("items", True)
        made["items"] = made.pop("prefixItems")
    return made


def add(messages: Object, message: Object) -> str:
    """Add a message to those of a channel, unless it is among them; return its name there."""
    for name, known in messages.items():
        if known == message:
            return name
    name = unused(message["name"], messages)
    messages[name] = message
    return name


def identifier(text: str) -> str:
    return re.sub(r"\W+", "_", text, flags=re.ASCII).strip("_")


def unused(name: str, names: Object) -> str:
    while name in names:
        name += "_"
    return name
