"""The signals that stop a serving command."""

from __future__ import annotations

import signal


def stop_signals() -> list[signal.Signals]:
    """Those of Ctrl-C, kill and a closed terminal; not the last one under `nohup`."""
    hangup = [] if signal.getsignal(signal.SIGHUP) is signal.SIG_IGN else [signal.SIGHUP]
    return [signal.SIGINT, signal.SIGTERM, *hangup]
