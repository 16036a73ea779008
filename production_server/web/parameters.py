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


def invalid_parameter(name: str, value: str, wanted: str) -> Problem:
    return Problem(400, "invalid_parameter", f"{name}={value[:40]} is not valid.", f"Use {wanted}.")
