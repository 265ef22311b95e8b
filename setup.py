"""What pyproject.toml cannot say: flags for the C extension that hinge on the compiler."""

import sys

from setuptools import setup
from setuptools.command.build_ext import build_ext

# Of the linkers that are called this way the one of macOS knows neither, and needs neither.
BINDS = sys.platform.startswith(("linux", "freebsd", "openbsd", "netbsd"))


class HardenedBuild(build_ext):
    """Has the compiler look for smashed stacks, and the tables of the linker be read-only from the start."""

    def build_extensions(self) -> None:
        if self.compiler.compiler_type == "unix":
            for extension in self.extensions:
                extension.extra_compile_args.append("-fstack-protector-strong")
                if BINDS:
                    extension.extra_link_args.append("-Wl,-z,relro,-z,now")
        super().build_extensions()


setup(cmdclass={"build_ext": HardenedBuild})
