#!/bin/sh
# The model is whole, loads and answers. This also compiles the bytecode that the services
# use, as the account that they run under.
set -eu
cd /opt/stackserve/app
exec runuser -u stackserve -- env PYTHONPYCACHEPREFIX=/var/cache/stackserve/bytecode \
    STACKSERVE_HOME=/var/lib/stackserve \
    /opt/stackserve/venv/bin/python -m production_server models check
