"""The signals that stop a serving command."""

from __future__ import annotations

import signal


def stop_signals() -> list[signal.Signals]:
    """The signals of Ctrl-C, kill and, unless `nohup` ignores it, a closed terminal."""
    hangup = [] if signal.getsignal(signal.SIGHUP) is signal.SIG_IGN else [signal.SIGHUP]
    return [signal.SIGINT, signal.SIGTERM, *hangup]
