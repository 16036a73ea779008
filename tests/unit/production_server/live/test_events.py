"""The file of what happened lately."""

from __future__ import annotations

import logging
from pathlib import Path

from production_server.live.events import (
    AUDIT,
    FILE,
    MOST_BYTES,
    EventFile,
    EventHandler,
    audited,
    follow_log,
)


def texts(events: EventFile, count: int = 100) -> list[str]:
    return [event.text for event in events.last(count)]


def test_the_newest_come_first_and_the_same_words_are_one_event(tmp_path: Path) -> None:
    """Each web process notes that the model has changed."""
    events, other = EventFile(tmp_path), EventFile(tmp_path)
    events.add("now using model a-2", at=100.0)
    other.add("now using model a-2", at=101.0)
    events.add("worker gone", bad=True, at=102.0)
    other.add("now using model a-2", at=500.0)
    assert texts(events) == ["now using model a-2", "worker gone", "now using model a-2"]
    assert [event.bad for event in events.last(2)] == [False, True]


def test_the_file_stays_short(tmp_path: Path) -> None:
    events = EventFile(tmp_path)
    for number in range(2000):
        events.add(f"{number} " + "x" * 90, at=float(number))
    assert (tmp_path / FILE).stat().st_size <= MOST_BYTES + 1000
    assert texts(events, 1)[0].startswith("1999 ")
    assert list(tmp_path.iterdir()) == [tmp_path / FILE]


def test_what_a_killed_process_leaves_is_skipped(tmp_path: Path) -> None:
    events = EventFile(tmp_path)
    events.add("one")
    with (tmp_path / FILE).open("ab") as file:
        file.write(b'{"at": 1, "te\n[]\n{"at":-1,"text":"x"}\n\xff\n')
    events.add("two")
    assert texts(events) == ["two", "one"]


def test_without_a_place_to_write_nothing_fails(tmp_path: Path) -> None:
    events = EventFile(tmp_path / "missing")
    events.add("one")
    assert texts(events) == []


def test_the_audit_log_in_words_without_addresses() -> None:
    line = '{"action":"model.activate","who":"token:me","address":"192.0.2.7","version":"a-2"}'
    assert audited(line) == "token:me: model.activate version a-2"
    assert audited('{"action":"job.create","who":"x","address":"192.0.2.7"}') == ""
    assert audited("no JSON") == ""


def test_lines_of_the_log_become_events_once(tmp_path: Path) -> None:
    events = EventFile(tmp_path)
    follow_log(events)
    follow_log(events)
    log = logging.getLogger(AUDIT)
    mine = [one for one in log.handlers if isinstance(one, EventHandler)]
    assert len(mine) == 1
    record = logging.LogRecord("x", logging.WARNING, "", 1, "it is %s", ("gone",), None)
    mine[0].emit(record)
    log.removeHandler(mine[0])
    assert texts(events) == ["It is gone"]
    assert events.last(1)[0].bad
