#!/usr/bin/env bash
# Train on several GPUs:  bash tools/dist_train.sh CONFIG GPUS [arguments of train.py]
# On several machines start it on each, with NNODES, NODE_RANK, MASTER_ADDR and PORT set. Without GPUs the CPU is used.
TOOLS=$(dirname "$0")
source "$TOOLS/launch.sh"
CONFIG=${1:?usage: dist_train.sh CONFIG GPUS [arguments of train.py]}
launch "${2:-4}" "$TOOLS/train.py" "$CONFIG" --launcher pytorch "${@:3}"
