"""The fixtures of these tests."""

from tests.hostile.place import certificates, info, place, plain, secure

__all__ = ["certificates", "info", "place", "plain", "secure"]
