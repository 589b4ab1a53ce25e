#!/usr/bin/env bash
# Evaluate on several GPUs:  bash tools/dist_test.sh CONFIG CHECKPOINT GPUS [arguments of test.py]
# On several machines start it on each, with NNODES, NODE_RANK, MASTER_ADDR and PORT set. Without GPUs the CPU is used.
CONFIG=${1:?usage: dist_test.sh CONFIG CHECKPOINT GPUS [arguments of test.py]}
CHECKPOINT=${2:?usage: dist_test.sh CONFIG CHECKPOINT GPUS [arguments of test.py]}
python -m torch.distributed.run --nnodes="${NNODES:-1}" --node_rank="${NODE_RANK:-0}" --nproc_per_node="${3:-4}" \
    --master_addr="${MASTER_ADDR:-127.0.0.1}" --master_port="${PORT:-29500}" \
    "$(dirname "$0")/test.py" "$CONFIG" "$CHECKPOINT" --launcher pytorch "${@:4}"
