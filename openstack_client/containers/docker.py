"""The user's own `docker`, which knows where the engine is and who may use it."""

from __future__ import annotations

import json
import subprocess
import tempfile
from collections.abc import Mapping, Sequence
from typing import Any

from openstack_client.containers.settings import PASSWORD
from openstack_client.errors import ImageError

# From this version on, BuildKit is a plugin of the client.
PLUGIN_SINCE = 23
STOP_SECONDS = 3


class Docker:
    """Runs `docker` with this environment."""

    def __init__(self, env: Mapping[str, str]) -> None:
        self.env = {name: value for name, value in env.items() if name != PASSWORD}

    def version(self) -> str:
        """The client's version. Raises ImageError if Docker is missing or does not answer."""
        found: str = json.loads(self.ask("version", "--format", "{{json .}}"))["Client"]["Version"]
        return found

    def check_buildkit(self) -> None:
        """Raise ImageError if Docker cannot build with BuildKit."""
        client = self.version()
        if int(client.partition(".")[0]) < PLUGIN_SINCE or self._run("buildx", "version")[0] == 0:
            return
        raise ImageError(
            f"Docker {client} has no BuildKit: its plugin buildx is not installed.",
            "Install it: the package is docker-buildx-plugin or docker-buildx.",
        )

    def ask(self, *arguments: str, feed: str = "") -> str:
        """What a short command prints. Raises ImageError with Docker's own words."""
        code, output, errors = self._run(*arguments, feed=feed)
        if code == 0:
            return output
        raise ImageError(
            f"docker {arguments[0]} failed: {errors.strip() or output.strip()}",
            "See whether `docker version` works; it needs a running engine and the right to use it."
            if arguments[0] == "version"
            else "",
        )

    def inspect(self, image: str) -> dict[str, Any]:
        found: dict[str, Any] = json.loads(self.ask("image", "inspect", image))[0]
        return found

    def show(
        self, arguments: Sequence[str], feed: bytes = b"", more: Mapping[str, str] | None = None
    ) -> int:
        """Run a long command, whose progress is for people; return its exit code.

        It goes to standard error, where JSON is not in its way. Stopping us stops it too.
        """
        with tempfile.TemporaryFile() as given:
            given.write(feed)
            given.seek(0)
            process = subprocess.Popen(
                ["docker", *arguments], stdin=given, stdout=2, env={**self.env, **(more or {})}
            )
            try:
                return process.wait()
            except KeyboardInterrupt:
                # The engine ends a build whose client is gone; older clients wait for its step.
                process.terminate()
                try:
                    process.wait(STOP_SECONDS)
                except subprocess.TimeoutExpired:
                    process.kill()
                    process.wait()
                raise

    def _run(self, *arguments: str, feed: str = "") -> tuple[int, str, str]:
        try:
            done = subprocess.run(
                ["docker", *arguments],
                input=feed,
                capture_output=True,
                text=True,
                check=False,
                env=self.env,
            )
        except OSError as error:
            raise ImageError(
                f"Cannot run `docker`: {error.strerror}.",
                "Install Docker, with its plugin buildx, so that `docker` is in PATH.",
            ) from error
        return done.returncode, done.stdout, done.stderr
