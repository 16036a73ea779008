#!/bin/sh
# The code that the user data names. A prepared image has it; otherwise code.py waits for it.
set -eu
there=$(cat /opt/stackserve/app/payload.sha256 2>/dev/null || true)
[ "$there" = "$PAYLOAD_SHA256" ] || exec "$(dirname "$0")/code.py"
