"""A container of Swift, with the credentials of the project."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any
from urllib.parse import quote

from openstack import exceptions as sdk_errors
from requests import exceptions as http_errors

from openstack_client.artifacts.place import Place
from openstack_client.artifacts.store import CHUNK, Stored, md5
from openstack_client.cloud.client import Cloud
from openstack_client.errors import CloudError, StoreError

MISSING = 404
TAKEN = 412
BEYOND = 416
PAGE = 1000


class SwiftStore:
    """Implements `Store`."""

    def __init__(self, cloud: Cloud, place: Place) -> None:
        self.cloud = cloud
        self.place = place
        self._require_container()

    def put(self, key: str, content: bytes, *, new: bool = False) -> bool:
        # Swift compares the ETag with what arrives, and refuses the object if it differs.
        headers = {"ETag": md5(content)} | ({"If-None-Match": "*"} if new else {})
        answer = self._send("PUT", f"store {key}", self._path(key), data=content, headers=headers)
        return bool(answer.status_code != TAKEN)

    def get(self, key: str, start: int = 0) -> Iterator[bytes] | None:
        headers = {"Range": f"bytes={start}-"} if start else {}
        answer = self._send("GET", f"read {key}", self._path(key), headers=headers, stream=True)
        if answer.status_code == BEYOND:
            return iter(())
        return None if answer.status_code == MISSING else self._chunks(answer, key)

    def head(self, key: str) -> Stored | None:
        answer = self._send("HEAD", f"look for {key}", self._path(key))
        if answer.status_code == MISSING:
            return None
        size = int(answer.headers.get("Content-Length", 0))
        return Stored(key, size, answer.headers.get("ETag", "").strip('"'))

    def list(self, prefix: str) -> Iterator[Stored]:
        query = {"format": "json", "limit": str(PAGE), "prefix": self.place.key(prefix)}
        while True:
            answer = self._send("GET", "list the versions", self._path(), params=query)
            rows = answer.json() if answer.status_code == 200 else []
            for row in rows:
                key = row["name"].removeprefix(self.place.key(""))
                yield Stored(key, row["bytes"], row["hash"], row["last_modified"][:19])
            if len(rows) < PAGE:
                return
            query["marker"] = rows[-1]["name"]

    def _path(self, key: str | None = None) -> str:
        container = "/" + quote(self.place.container, safe="")
        return container if key is None else f"{container}/{quote(self.place.key(key))}"

    def _require_container(self) -> None:
        name = self.place.container
        if self._send("HEAD", f"find the container {name}", self._path()).status_code == MISSING:
            raise StoreError(
                f"The project has no container {name!r}.",
                f"Create it: openstack container create {name}",
            )

    def _send(self, method: str, doing: str, path: str, **more: Any) -> Any:
        """Send a request. No object, a taken name and a range past the end are answers too."""

        def once() -> Any:
            answer = self.cloud.connection.object_store.request(
                path, method, raise_exc=False, **more
            )
            if answer.status_code not in {MISSING, TAKEN, BEYOND}:
                sdk_errors.raise_from_response(answer)
            return answer

        return self.cloud.request("Swift", doing, once)

    def _chunks(self, answer: Any, key: str) -> Iterator[bytes]:
        try:
            yield from answer.iter_content(CHUNK)
        except http_errors.RequestException as error:
            raise CloudError(
                f"Swift stopped in the middle of {key}.", "Run the command again: it continues."
            ) from error
        finally:
            answer.close()
