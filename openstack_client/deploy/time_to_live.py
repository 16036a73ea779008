"""The last step of a deploy with a time to live: set when it expires, and let it remove itself."""

from __future__ import annotations

from dataclasses import dataclass

from openstack_client import lifetime
from openstack_client.cloud.client import Cloud
from openstack_client.cloud.resources import Server
from openstack_client.deploy.delete import find
from openstack_client.deploy.extend import set_expiry
from openstack_client.deploy.self_removal import arrange
from openstack_client.plan import expiry
from openstack_client.settings import Settings
from openstack_client.watch.ssh import SshTarget


@dataclass(frozen=True)
class TimeToLive:
    """When a deployment expires. `problem` is why the server cannot remove itself then."""

    expires: str = ""
    problem: str = ""

    @property
    def removes_itself(self) -> bool:
        return bool(self.expires) and not self.problem

    @property
    def sentence(self) -> str:
        """What to tell the user; empty if the deployment never expires."""
        left = lifetime.described(lifetime.read(self.expires), lifetime.now())
        if not left:
            return ""
        if self.removes_itself:
            return f"The deployment {left} and then removes itself."
        return (
            f"The deployment {left}, but the server cannot remove itself: {self.problem}. "
            "Run `reap --yes` from cron on a machine with credentials."
        )


def settle(cloud: Cloud, settings: Settings, server: Server, target: SshTarget) -> TimeToLive:
    """Start the time to live now, or keep one that an earlier deploy started."""
    if settings.ttl:
        moment = lifetime.now() + lifetime.parse(settings.ttl)
        set_expiry(cloud, find(cloud, settings.name), moment)
    else:
        kept = expiry.moment_of(server)
        if kept is None:
            return TimeToLive()
        moment = kept
    problem = arrange(cloud, settings.name, server.id, target, moment)
    return TimeToLive(lifetime.written(moment), problem)
