#!/usr/bin/env bash
# Evaluate on several GPUs:  bash tools/dist_test.sh CONFIG CHECKPOINT GPUS [arguments of test.py]
# On several machines start it on each, with NNODES, NODE_RANK, MASTER_ADDR and PORT set. Without GPUs the CPU is used.
TOOLS=$(dirname "$0")
source "$TOOLS/launch.sh"
CONFIG=${1:?usage: dist_test.sh CONFIG CHECKPOINT GPUS [arguments of test.py]}
CHECKPOINT=${2:?usage: dist_test.sh CONFIG CHECKPOINT GPUS [arguments of test.py]}
launch "${3:-4}" "$TOOLS/test.py" "$CONFIG" "$CHECKPOINT" --launcher pytorch "${@:4}"
