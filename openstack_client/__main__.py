"""python3 -m openstack_client VERB, with any Python: it installs missing packages by itself."""

import sys

from openstack_client.start_instance import complete

if __name__ == "__main__":
    complete(["-m", "openstack_client", *sys.argv[1:]])

    from openstack_client.cli import main

    main(prog_name="python3 -m openstack_client")
