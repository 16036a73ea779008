"""Decide what to create, change, keep or delete: pure functions of settings and facts.

make.py lists what the cloud has, inventory.py finds the deployment's own resources in it, and
decide.py makes a Plan (model.py) of both, with the help of server.py and network.py.
"""
