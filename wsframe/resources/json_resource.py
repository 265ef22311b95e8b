"""Resources whose messages are JSON of declared types, decoded and checked by msgspec."""

from __future__ import annotations

from inspect import Parameter, signature, unwrap
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any, ClassVar, Never, TypeVar, get_type_hints

from wsframe.resources.check_hooks import check_hook
from wsframe.resources.client import Client
from wsframe.resources.resource import HOOKS, Resource

if TYPE_CHECKING:
    import msgspec

    from wsframe.resources.client import DataT
else:
    try:
        import msgspec
    except ModuleNotFoundError:
        msgspec = None
    DataT = TypeVar("DataT")

__all__ = ["JSONResource"]


class JSONResource(Resource[DataT]):
    """A resource whose text messages are JSON; needs ``wsframe[msgspec]``.

    The hook ``received_json`` declares the type of a message: a ``msgspec.Struct``, a
    union of tagged ones, a dataclass, a TypedDict, ``dict[str, int]``, anything msgspec
    decodes; ``object`` and ``Any`` stand for any JSON, inside other types too. It is resolved
    when the class is made, and each message is checked against it. A binary message closes its
    client 1003 as in any resource, unless ``received_binary`` is overridden.

    Raises:
        ImportError: When a subclass is made and msgspec is not installed.
        TypeError: When a subclass is made whose ``received_json`` declares no type, one that cannot
            be found, or one that msgspec does not decode.
    """

    sends: ClassVar[object] = None
    """The type of the messages sent, for ``wsframe asyncapi``; nothing is checked against it."""

    _wsframe_hooks = (*HOOKS, "received_json", "invalid_message")
    _takes: ClassVar[object] = None
    _decoder: ClassVar[msgspec.json.Decoder[Any] | None] = None

    def __init_subclass__(cls, **kwargs: object) -> None:
        super().__init_subclass__(**kwargs)
        if msgspec is None:
            raise ImportError("JSONResource needs msgspec: pip install 'wsframe[msgspec]'", name="msgspec")
        check_hook(JSONResource, cls, "received_json")
        check_hook(JSONResource, cls, "invalid_message")
        if cls.received_json is not JSONResource.received_json:
            cls._takes = declared_type(cls)
            check_type(f"{cls.__name__}.received_json", cls._takes)
            cls._decoder = msgspec.json.Decoder(cls._takes)
        if cls.sends is not None:
            check_type(f"{cls.__name__}.sends", cls.sends)

    async def received_json(self, client: Client[DataT], message: Never) -> None:
        """Take a message; override it with the type of yours: ``message: Join | Say``.

        ``received_text`` calls it, so ``hook_failed`` gets that name.
        """
        raise NotImplementedError

    async def invalid_message(self, client: Client[DataT], error: Exception) -> None:
        """Keep or close a client whose message is not of the type that ``received_json`` takes.

        Args:
            client: The client; one that is not closed here stays.
            error: A ``msgspec.ValidationError`` for JSON of another type, and any other
                ``msgspec.DecodeError`` for text that is not JSON, or nested too deeply.

        The default closes 1003 for JSON of another type, as for a kind of message that is
        not supported, and 1007 for text that is not JSON, as for text that is not UTF-8 (RFC 6455
        section 7.4.1). The reason is msgspec's error message.
        """
        client.close(1003 if isinstance(error, msgspec.ValidationError) else 1007, str(error))

    async def received_text(self, client: Client[DataT], message: str) -> None:
        """Decode a message and pass it to ``received_json``, or its error to ``invalid_message``."""
        if self._decoder is None:
            await super().received_text(client, message)
            return
        try:
            decoded = self._decoder.decode(message)
        except msgspec.DecodeError as error:
            await self.invalid_message(client, error)
        except RecursionError:
            await self.invalid_message(client, msgspec.DecodeError("JSON is nested too deeply"))
        else:
            await self.received_json(client, decoded)

    def encode_json(self, message: object) -> bytes:
        """Encode a message with msgspec, for ``client.send_json`` and :meth:`Resource.broadcast_json`.

        Raises:
            TypeError: For an object that msgspec does not encode.
            ValueError: For text with a lone surrogate.
        """
        return msgspec.json.encode(message)


def declared_type(cls: type[JSONResource[Any]]) -> object:
    """Return the type that ``received_json`` of a class says it takes.

    Raises:
        TypeError: If it declares none, or one that cannot be found.
    """
    hook: Any = cls.received_json
    parameters = [*signature(hook).parameters.values()]
    if len(parameters) != 3 or parameters[2].annotation is Parameter.empty:
        raise TypeError(f"{cls.__name__}.received_json must annotate its message: (self, client, message: Join | Say)")
    # That one alone: the names in the others can exist for type checkers only.
    annotated = SimpleNamespace(__annotations__={"message": parameters[2].annotation})
    try:
        found = get_type_hints(annotated, getattr(unwrap(hook), "__globals__", {}), include_extras=True)["message"]
    except Exception as error:
        name = parameters[2].annotation
        raise TypeError(f"{cls.__name__}.received_json: cannot make a type of {name!r}: {error}") from None
    return Any if found is object else found


def schema_of_object(declared: type) -> dict[str, Any]:
    """Make the schema of ``object``, which msgspec decodes as it does Any, and has no schema for.

    Raises:
        NotImplementedError: For any other class.
    """
    if declared is not object:
        raise NotImplementedError
    return {"description": "anything"}  # msgspec takes an empty one for none


def check_type(name: str, declared: object) -> None:
    """Check that msgspec knows a type.

    Raises:
        TypeError: If it does not.
    """
    try:
        # A decoder is made for any class, and then fails for each message; a schema is not.
        msgspec.json.schema(declared, schema_hook=schema_of_object)
        msgspec.json.Decoder(declared)
    except (TypeError, NameError) as error:
        reason = str(error).partition("\n")[0]
        raise TypeError(f"{name}: {declared!r} is not a type for JSON: {reason}") from None
