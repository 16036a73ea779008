"""Asks for a prediction at a steady rate: python - HOST:PORT RATE SECONDS < steady_load.py

This runs in a container, with the standard library alone. Each request has a connection of its own,
to one of the addresses that the name has then. It prints each answer, and each failure.
"""

from __future__ import annotations

import http.client
import json
import random
import socket
import sys
import threading
import time

PATIENT = {
    "pregnancies": 6,
    "glucose": 148,
    "blood_pressure": 72,
    "skin_thickness": 35,
    "insulin": 0,
    "bmi": 33.6,
    "diabetes_pedigree": 0.627,
    "age": 50,
}
CLIENTS = 16
TIMEOUT = 30.0


def ask(host: str, port: int) -> dict[str, object]:
    places = socket.getaddrinfo(host, port, socket.AF_INET, socket.SOCK_STREAM)
    address = random.choice(places)[4][0]
    connection = http.client.HTTPConnection(str(address), port, timeout=TIMEOUT)
    try:
        headers = {"Content-Type": "application/json", "Connection": "close"}
        connection.request("POST", "/predict", json.dumps([PATIENT]), headers)
        response = connection.getresponse()
        text = response.read().decode()
    finally:
        connection.close()
    if response.status != 200:
        return {"failure": f"{response.status} {text}"}
    body = json.loads(text)
    return {
        "version": body["version"],
        "probability": body["predictions"][0]["probability"],
    }


def main(place: str, rate: float, seconds: float) -> None:
    host, _, port = place.partition(":")
    began, told = time.monotonic(), threading.Lock()

    def client(number: int) -> None:
        while number < rate * seconds:
            time.sleep(max(0.0, began + number / rate - time.monotonic()))
            sent = time.monotonic()
            try:
                outcome = ask(host, int(port))
            except OSError as error:
                outcome = {"failure": repr(error)}
            except http.client.HTTPException as error:
                outcome = {"failure": repr(error)}
            outcome |= {"at": sent - began, "seconds": time.monotonic() - sent}
            with told:
                print(json.dumps(outcome), flush=True)
            number += CLIENTS

    clients = [threading.Thread(target=client, args=(number,)) for number in range(CLIENTS)]
    for one in clients:
        one.start()
    for one in clients:
        one.join()


if __name__ == "__main__":
    main(sys.argv[1], float(sys.argv[2]), float(sys.argv[3]))
