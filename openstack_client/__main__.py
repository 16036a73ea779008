"""python3 -m openstack_client VERB"""

from openstack_client.cli import main

if __name__ == "__main__":
    main(prog_name="python3 -m openstack_client")
