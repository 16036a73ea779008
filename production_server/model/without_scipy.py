"""Lets Keras start on jax where scipy is not installed, as on a deployed server.

jax imports scipy for one solver of sparse systems, which no Keras model uses; it is 35 MB to
download. For as long as the import lasts, empty modules take the place of what is asked for.
"""

from __future__ import annotations

import importlib.util
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from types import ModuleType

ASKED_FOR = ("scipy", "scipy.sparse", "scipy.sparse.linalg")


class Absent(ModuleType):
    """Says what is missing when something of it is used after all."""

    def __getattr__(self, name: str) -> object:
        if name.startswith("__"):  # the import machinery looks for what a module need not have
            raise AttributeError(name)
        raise ModuleNotFoundError(
            f"{self.__name__}.{name} is needed here: install scipy", name="scipy"
        )


@contextmanager
def scipy_may_be_absent() -> Iterator[None]:
    """What is imported here may import scipy, but not use it."""
    if "scipy" in sys.modules or importlib.util.find_spec("scipy") is not None:
        yield
        return
    modules = {name: Absent(name) for name in ASKED_FOR}
    for name, module in modules.items():
        module.__path__ = []
        parent, _, child = name.rpartition(".")
        if parent:
            setattr(modules[parent], child, module)
    sys.modules.update(modules)
    try:
        yield
    finally:
        # Others, who can do without scipy, must find that it is not there.
        for name in ASKED_FOR:
            sys.modules.pop(name, None)
