"""Lets Keras import jax without scipy, which deployed servers do not have.

jax imports scipy for a solver of sparse systems that no Keras model uses, and scipy is a 35 MB
download. Empty modules replace it while Keras and jax are imported.
"""

from __future__ import annotations

import importlib.util
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from types import ModuleType

IMPORTED = ("scipy", "scipy.sparse", "scipy.sparse.linalg")


class MissingModule(ModuleType):
    """An empty module that raises an error when something in it is used."""

    def __getattr__(self, name: str) -> object:
        if name.startswith("__"):  # the import system tries optional attributes
            raise AttributeError(name)
        raise ModuleNotFoundError(
            f"{self.__name__}.{name} requires scipy: install scipy", name="scipy"
        )


@contextmanager
def scipy_may_be_absent() -> Iterator[None]:
    """Modules that are imported in this context can import scipy, but not use it."""
    if "scipy" in sys.modules or importlib.util.find_spec("scipy") is not None:
        yield
        return
    modules = {name: MissingModule(name) for name in IMPORTED}
    for name, module in modules.items():
        module.__path__ = []
        parent, _, child = name.rpartition(".")
        if parent:
            setattr(modules[parent], child, module)
    sys.modules.update(modules)
    try:
        yield
    finally:
        # Libraries for which scipy is optional must find out that it is missing.
        for name in IMPORTED:
            sys.modules.pop(name, None)
