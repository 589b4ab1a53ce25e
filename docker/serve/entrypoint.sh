#!/bin/sh
# `serve` starts TorchServe in the foreground, so that the container ends with it; anything else is run as it stands.
set -e
if [ "$1" = serve ]; then
    shift
    exec torchserve --start --foreground --ncs --ts-config /home/model-server/config.properties "$@"
fi
exec "$@"
