#!/usr/bin/env bash
# Train on several GPUs:  bash tools/dist_train.sh CONFIG GPUS [arguments of train.py]
# On several machines start it on each, with NNODES, NODE_RANK, MASTER_ADDR and PORT set. Without GPUs the CPU is used.
CONFIG=${1:?usage: dist_train.sh CONFIG GPUS [arguments of train.py]}
python -m torch.distributed.run --nnodes="${NNODES:-1}" --node_rank="${NODE_RANK:-0}" --nproc_per_node="${2:-4}" \
    --master_addr="${MASTER_ADDR:-127.0.0.1}" --master_port="${PORT:-29500}" \
    "$(dirname "$0")/train.py" "$CONFIG" --launcher pytorch "${@:3}"
