#!/bin/sh
# The step `packages` has installed nginx. Fail here, in its own words, if it cannot serve the page.
set -eu
nginx -t
systemctl enable --quiet --now nginx
