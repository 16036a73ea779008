#!/bin/sh
# All that an ssh key of this account can do: push to one repository and fetch from it.
# sshd's forced command, through git-shell: serve models|code NAME
set -eu
case "${SSH_ORIGINAL_COMMAND:-}" in
    "git-receive-pack '/production.git'" | "git-receive-pack 'production.git'") service=receive-pack ;;
    "git-upload-pack '/production.git'" | "git-upload-pack 'production.git'") service=upload-pack ;;
    *)
        echo "error: this key can only push to /production.git here, and fetch from it" >&2
        exit 1
        ;;
esac

# git RIGHT NAME COMMAND...   with an environment in which nothing is left of the client's
run() {
    right=$1 name=$2
    shift 2
    exec env -i PATH=/usr/sbin:/usr/bin:/sbin:/bin LANG=C.UTF-8 HOME=/nonexistent \
        GIT_CONFIG_SYSTEM=@CONFIG@ GIT_CONFIG_GLOBAL=/dev/null \
        GIT_CONFIG_COUNT=1 GIT_CONFIG_KEY_0=core.hooksPath GIT_CONFIG_VALUE_0=@HOOKS@ \
        STACKSERVE_RIGHT="$right" STACKSERVE_PUSHER="$name" "$@"
}

if [ $service = upload-pack ]; then
    run "$1" "$2" timeout @LONGEST_PUSH@ git upload-pack --strict --timeout=60 @REPOSITORY@
fi
umask 022
# One push at a time, so that each one builds on what went live before it.
exec 9<@LOCK@
if ! flock -n 9; then
    echo "Another push is under way. Waiting for it." >&2
    flock -w @LONGEST_WAIT@ 9 || { echo "error: the other push did not end; push again later" >&2; exit 1; }
fi
# A second limit beside git's own. In blocks of 512 bytes.
ulimit -f @MOST_BLOCKS@
run "$1" "$2" timeout @LONGEST_PUSH@ git receive-pack @REPOSITORY@
