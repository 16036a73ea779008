"""Process 1 of the benchmark's own namespaces: `python -m benchmarks.scale.inside PLAN RESULT`.

When it ends, for whatever reason, the kernel ends all of its processes and removes its network.
"""

from __future__ import annotations

import json
import signal
import sys
from pathlib import Path

from benchmarks.scale.measure import Plan, measure
from production_server.errors import StackserveError


def main(plan: Path, result: Path) -> None:
    # Process 1 ignores signals without a handler.
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    result.write_text(json.dumps(measure(Plan(**json.loads(plan.read_text())))))


if __name__ == "__main__":
    try:
        main(Path(sys.argv[1]), Path(sys.argv[2]))
    except KeyboardInterrupt:
        sys.exit(130)
    except StackserveError as error:
        sys.exit(f"{error}\n{error.remedy}")
