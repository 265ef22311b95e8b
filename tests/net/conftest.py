"""The fixtures of these tests."""

from tests.hostile.place import certificates, info, place, plain, secure
from tests.net.pump_rig import between_machines, rig

__all__ = ["between_machines", "certificates", "info", "place", "plain", "rig", "secure"]
