"""Prints what stackserve-workers shows, in a process with the service's account and settings:

python -m production_server.load figures
python -m production_server.load workers
"""

from __future__ import annotations

import json
import sys
import time

from production_server.errors import StackserveError
from production_server.load.figures import by_vm, measure
from production_server.load.heard import hear
from production_server.messaging.activity import vm_of
from production_server.messaging.app import create_app
from production_server.messaging.link import CONNECTION_ERRORS
from production_server.settings import Settings, load_settings


def report(settings: Settings, verb: str) -> object:
    # While RabbitMQ accepts no messages, a confirm would never come.
    app = create_app(settings, confirm_publish=False)
    measured = measure(app, settings)
    answering = {vm for node in measured.activities if (vm := vm_of(node))}
    heard = hear(settings.home, answering, time.time())
    return measured.figures if verb == "figures" else by_vm(measured.activities, heard)


def main(verb: str) -> None:
    if verb not in ("figures", "workers"):
        sys.exit(f"error: unknown verb {verb}")
    try:
        print(json.dumps(report(load_settings(), verb)))
    except StackserveError as error:
        sys.exit(str(error))
    except CONNECTION_ERRORS as error:
        sys.exit(f"RabbitMQ cannot be reached: {error}")


if __name__ == "__main__":
    main(*sys.argv[1:])
