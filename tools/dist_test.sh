#!/usr/bin/env bash
# Evaluate on several GPUs:  bash tools/dist_test.sh CONFIG CHECKPOINT GPUS [arguments of test.py]
# On several machines start it on each, with NNODES, NODE_RANK, MASTER_ADDR and PORT set. Without GPUs the CPU is used.
# On one machine a free port is chosen, unless PORT is set; so several runs need not agree on theirs.
CONFIG=${1:?usage: dist_test.sh CONFIG CHECKPOINT GPUS [arguments of test.py]}
CHECKPOINT=${2:?usage: dist_test.sh CONFIG CHECKPOINT GPUS [arguments of test.py]}
if [ "${NNODES:-1}" = 1 ] && [ -z "$PORT" ]; then
    WHERE=(--standalone)
else
    WHERE=(--nnodes="${NNODES:-1}" --node_rank="${NODE_RANK:-0}" --master_addr="${MASTER_ADDR:-127.0.0.1}"
           --master_port="${PORT:-29500}")
fi
python -m torch.distributed.run "${WHERE[@]}" --nproc_per_node="${3:-4}" \
    "$(dirname "$0")/test.py" "$CONFIG" "$CHECKPOINT" --launcher pytorch "${@:4}"
