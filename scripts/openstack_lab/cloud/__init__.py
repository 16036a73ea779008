"""Creates the lab's projects, networks and images through the OpenStack APIs."""
