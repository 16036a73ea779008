"""A bucket of any store that speaks S3. botocore finds the credentials, as for every AWS tool."""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Callable, Collection, Iterator
from typing import Any, TypeVar

from openstack_client.artifacts.place import Place
from openstack_client.artifacts.store import CHUNK, Stored
from openstack_client.errors import (
    CloudError,
    CredentialsError,
    LauncherError,
    SettingsError,
    StoreError,
)

Answer = TypeVar("Answer")
# Stores that have no regions accept any; AWS needs the bucket's own.
NO_REGION = "us-east-1"
REFUSED = {"InvalidAccessKeyId", "SignatureDoesNotMatch", "ExpiredToken", "InvalidToken"}
MISSING = {"NoSuchKey", "404", "NotFound"}
BEYOND = {"InvalidRange", "416"}
TAKEN = {"PreconditionFailed", "ConditionalRequestConflict", "412"}
CREDENTIALS = (
    "Set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, or AWS_PROFILE for a profile in "
    "~/.aws/credentials."
)


class S3Store:
    """Implements `Store`."""

    def __init__(self, place: Place, endpoint: str | None, *, timeout: int, retries: int) -> None:
        self.place = place
        self.where = endpoint or "AWS"
        self.client = _client(endpoint, timeout, retries)
        self._require_bucket()

    def put(self, key: str, content: bytes, *, new: bool = False) -> bool:
        digest = hashlib.md5(content, usedforsecurity=False).digest()
        request = {"ContentMD5": base64.b64encode(digest).decode(), "Body": content}
        if new:
            request["IfNoneMatch"] = "*"
        sent = self._send(
            f"store {key}",
            lambda: self.client.put_object(**self._object(key), **request),
            TAKEN if new else (),
        )
        return sent is not None

    def get(self, key: str, start: int = 0) -> Iterator[bytes] | None:
        span = {"Range": f"bytes={start}-"} if start else {}
        answer = self._send(
            f"read {key}",
            lambda: self.client.get_object(**self._object(key), **span),
            MISSING | BEYOND,
        )
        if answer is None:
            # A range past the end is an answer, too: there is nothing more.
            return iter(()) if start and self.head(key) else None
        return self._chunks(answer["Body"], key)

    def head(self, key: str) -> Stored | None:
        answer = self._send(
            f"look for {key}", lambda: self.client.head_object(**self._object(key)), MISSING
        )
        if answer is None:
            return None
        return Stored(key, answer["ContentLength"], answer["ETag"].strip('"'))

    def list(self, prefix: str) -> Iterator[Stored]:
        query = {"Bucket": self.place.container, "Prefix": self.place.key(prefix)}
        while True:
            page = self._page(query)
            for row in page.get("Contents", []):
                key = row["Key"].removeprefix(self.place.key(""))
                changed = row["LastModified"].strftime("%Y-%m-%dT%H:%M:%S")
                yield Stored(key, row["Size"], row["ETag"].strip('"'), changed)
            if not page.get("IsTruncated"):
                return
            query["ContinuationToken"] = page["NextContinuationToken"]

    def _page(self, query: dict[str, str]) -> dict[str, Any]:
        page: dict[str, Any] | None = self._send(
            "list the versions", lambda: self.client.list_objects_v2(**query)
        )
        return page or {}

    def _object(self, key: str) -> dict[str, str]:
        return {"Bucket": self.place.container, "Key": self.place.key(key)}

    def _require_bucket(self) -> None:
        name = self.place.container
        found = self._send(
            f"find the bucket {name}",
            # HEAD answers carry no reason; a list does, and needs no more rights than `list`.
            lambda: self.client.list_objects_v2(Bucket=name, MaxKeys=1),
            MISSING | {"NoSuchBucket"},
        )
        if found is None:
            raise StoreError(
                f"{self.where} has no bucket {name!r}.", "Check its name, or create it first."
            )

    def _send(
        self,
        doing: str,
        call: Callable[[], Answer],
        nothing: Collection[str] = (),
    ) -> Answer | None:
        """Send a request. None if the store answers with one of the codes in `nothing`."""
        from botocore.exceptions import BotoCoreError, ClientError, NoCredentialsError

        try:
            return call()
        except ClientError as error:
            if error.response["Error"].get("Code", "") in nothing:
                return None
            raise explain(self.where, doing, error.response) from error
        except NoCredentialsError as error:
            raise CredentialsError("There are no credentials for S3.", CREDENTIALS) from error
        except BotoCoreError as error:
            raise CloudError(
                f"{self.where} could not {doing}: {error}.",
                "Check --s3-endpoint and your network. Then run the command again: it continues.",
            ) from error

    def _chunks(self, body: Any, key: str) -> Iterator[bytes]:
        from botocore.exceptions import BotoCoreError, HTTPClientError

        try:
            yield from body.iter_chunks(CHUNK)
        except (BotoCoreError, HTTPClientError) as error:
            raise CloudError(
                f"{self.where} stopped in the middle of {key}.",
                "Run the command again: it continues.",
            ) from error
        finally:
            body.close()


def explain(where: str, doing: str, response: dict[str, Any]) -> LauncherError:
    """The error to report for a refused request."""
    code = response["Error"].get("Code", "")
    message = str(response["Error"].get("Message") or code).rstrip(".")
    status = response["ResponseMetadata"].get("HTTPStatusCode", 0)
    if code in REFUSED:
        return CredentialsError(f"{where} refused the credentials: {message}.", CREDENTIALS)
    if status == 403:
        return CredentialsError(
            f"{where} does not let these credentials {doing}: {message}.",
            "Ask for read and write access to the bucket, or use other credentials.",
        )
    return CloudError(
        f"{where} could not {doing}: {message} (HTTP {status}, {code}).",
        "Run the command again: it continues where it stopped." if status >= 500 else "",
        status=status,
        request_id=response["ResponseMetadata"].get("RequestId", ""),
    )


def _client(endpoint: str | None, timeout: int, retries: int) -> Any:
    try:
        import botocore.session
        from botocore.config import Config
        from botocore.exceptions import BotoCoreError
    except ImportError as error:
        raise SettingsError(
            "S3 needs botocore, which is not installed.", "Run: pip install 'stackserve[s3]'"
        ) from error
    # Not every store knows the newer checksums, or a name per bucket.
    config = Config(
        connect_timeout=timeout,
        read_timeout=timeout,
        retries={"total_max_attempts": retries + 1, "mode": "standard"},
        request_checksum_calculation="when_required",
        response_checksum_validation="when_required",
        s3={"addressing_style": "path" if endpoint else "auto"},
    )
    try:
        session = botocore.session.get_session()
        region = session.get_config_variable("region") or NO_REGION
        return session.create_client("s3", region_name=region, endpoint_url=endpoint, config=config)
    except (BotoCoreError, ValueError) as error:
        raise SettingsError(
            f"The settings for S3 are not valid: {error}.", "Check --s3-endpoint and AWS_PROFILE."
        ) from error
