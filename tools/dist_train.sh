#!/usr/bin/env bash
# Train on several GPUs:  bash tools/dist_train.sh CONFIG GPUS [arguments of train.py]
# On several machines start it on each, with NNODES, NODE_RANK, MASTER_ADDR and PORT set. Without GPUs the CPU is used.
# On one machine a free port is chosen, unless PORT is set; so several runs need not agree on theirs.
CONFIG=${1:?usage: dist_train.sh CONFIG GPUS [arguments of train.py]}
if [ "${NNODES:-1}" = 1 ] && [ -z "$PORT" ]; then
    WHERE=(--standalone)
else
    WHERE=(--nnodes="${NNODES:-1}" --node_rank="${NODE_RANK:-0}" --master_addr="${MASTER_ADDR:-127.0.0.1}"
           --master_port="${PORT:-29500}")
fi
python -m torch.distributed.run "${WHERE[@]}" --nproc_per_node="${2:-4}" \
    "$(dirname "$0")/train.py" "$CONFIG" --launcher pytorch "${@:3}"
