"""When the supervisor restarts a process, and where the service is reached."""

from __future__ import annotations

from production_server.local.readiness import local_url
from production_server.local.supervisor import LONGEST_PAUSE, pause_after


def test_each_failure_doubles_the_pause_up_to_a_limit() -> None:
    assert [pause_after(failures) for failures in (1, 2, 3)] == [0.5, 1.0, 2.0]
    assert pause_after(50) == LONGEST_PAUSE


def test_a_server_on_all_addresses_is_reached_on_loopback() -> None:
    assert local_url("0.0.0.0", 5100) == "http://127.0.0.1:5100"
    assert local_url("10.0.0.7", 80) == "http://10.0.0.7:80"
