"""The kinds of output that a model can have: one class each.

To add a kind, write its class, list it in KINDS, and draw it in a template under web/templates if
none of those there fits. If it needs them, add new scores to model/metrics.py and new number
formats to figures.py. What `deploy` prints of a prediction is in openstack_client/watch/probe.py.
"""

from __future__ import annotations

from typing import Annotated

from pydantic import AfterValidator

from production_server.model.outputs.binary import Binary
from production_server.model.outputs.multiclass import Multiclass
from production_server.model.outputs.output import Output
from production_server.model.outputs.regression import Regression

__all__ = ["KINDS", "Binary", "Kind", "Multiclass", "Output", "Regression"]

KINDS: dict[str, type[Output]] = {kind.kind: kind for kind in (Binary, Multiclass, Regression)}


def _known(kind: str) -> str:
    if kind not in KINDS:
        *first, last = (repr(name) for name in KINDS)
        raise ValueError(f"must be {', '.join(first)} or {last}")
    return kind


Kind = Annotated[str, AfterValidator(_known)]
