"""Query parameters of the current Flask request, validated."""

from __future__ import annotations

from flask import request

from production_server.web.problems import Problem


def flag(name: str) -> bool:
    text = request.args.get(name, "false").lower()
    if text not in ("true", "false", "1", "0"):
        raise invalid_parameter(name, text, "true or false")
    return text in ("true", "1")


def whole_number(name: str, default: int, most: int) -> int:
    text = request.args.get(name, str(default))
    if not (text.isascii() and text.isdigit() and 1 <= int(text[:9]) <= most):
        raise invalid_parameter(name, text, f"a number from 1 to {most}")
    return int(text)


def share(name: str) -> float | None:
    """More than 0 and up to 1; None if it is not given."""
    text = request.args.get(name)
    if text is None:
        return None
    try:
        found = float(text)
    except ValueError:
        found = -1.0
    if not 0 < found <= 1:
        raise invalid_parameter(name, text, "a number above 0 and up to 1, such as 0.1")
    return found


def invalid_parameter(name: str, value: str, wanted: str) -> Problem:
    return Problem(400, "invalid_parameter", f"{name}={value[:40]} is not valid.", f"Use {wanted}.")
