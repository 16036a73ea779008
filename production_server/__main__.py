"""`python3 -m production_server VERB`. In a checkout, any Python will do."""

import importlib.util
import os
import sys

from production_server.places import CHECKOUT, own_python

if __name__ == "__main__":
    if python := own_python():
        os.execv(python, [python, *sys.orig_argv[1:]])

    if CHECKOUT and not all(map(importlib.util.find_spec, ("celery", "click", "flask", "uvicorn"))):
        setup = [sys.executable, str(CHECKOUT / "scripts" / "run"), "-m", "production_server"]
        os.execv(setup[0], [*setup, *sys.argv[1:]])

    from production_server.cli import main

    main()
