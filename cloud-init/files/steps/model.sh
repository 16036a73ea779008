#!/bin/sh
# Try the model as the services will, before anything is started; see warm.py.
set -eu
here=$(dirname "$0")
exec systemd-run --quiet --wait --pipe --collect --uid=stackserve --gid=stackserve \
    --property=EnvironmentFile=/etc/stackserve/settings.env \
    --property=Environment=PYTHONPATH=/opt/stackserve/app \
    --property=WorkingDirectory=/opt/stackserve/app \
    /opt/stackserve/venv/bin/python "$here/warm.py"
