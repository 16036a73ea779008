#!/bin/sh
# The repository, the key for production, and git's settings, for the account that people log in with.
set -eu
exec /usr/local/sbin/stackserve-dev setup
