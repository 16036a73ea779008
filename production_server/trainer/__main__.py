"""Does the work of one run; the trainer starts `python -m production_server.trainer FOLDER`."""

from __future__ import annotations

import sys
from pathlib import Path

from production_server.trainer.work import work

if __name__ == "__main__":
    work(Path(sys.argv[1]))
