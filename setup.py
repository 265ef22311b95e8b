"""The build that pyproject.toml cannot express: flags for the C extension, and a wheel without it."""

import os
import sys
import sysconfig

from setuptools import Distribution, setup
from setuptools.command.build_ext import build_ext

# The linker of macOS has neither of these flags, and does not need them.
BINDS = sys.platform.startswith(("linux", "freebsd", "openbsd", "netbsd"))

# The C code needs the sockets of Unix, and is safe under the GIL alone: a free-threaded Python would turn its GIL on
# for it. WSFRAME_PURE=1 makes the wheel that fits every platform.
NO_GIL = bool(sysconfig.get_config_var("Py_GIL_DISABLED"))
PURE = sys.platform == "win32" or NO_GIL or os.environ.get("WSFRAME_PURE") == "1"


class MaybePure(Distribution):
    """Has no extension where Python does all the work: the wheel is py3-none-any then."""

    def has_ext_modules(self) -> bool:
        return not PURE and bool(super().has_ext_modules())


class HardenedBuild(build_ext):
    """Has the compiler look for smashed stacks, and the tables of the linker be read-only from the start."""

    def build_extensions(self) -> None:
        if self.compiler.compiler_type == "unix":
            for extension in self.extensions:
                extension.extra_compile_args.append("-fstack-protector-strong")
                if BINDS:
                    extension.extra_link_args.append("-Wl,-z,relro,-z,now")
        super().build_extensions()


setup(distclass=MaybePure, cmdclass={"build_ext": HardenedBuild})
