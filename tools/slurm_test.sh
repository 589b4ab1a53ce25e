#!/usr/bin/env bash
# Evaluate under Slurm:  [GPUS=4] bash tools/slurm_test.sh PARTITION JOB_NAME CONFIG CHECKPOINT [arguments of test.py]
# GPUS_PER_NODE, CPUS_PER_TASK and SRUN_ARGS may be set as well. With GRES= (empty) the CPU is used.
set -e
GPUS=${GPUS:-4}
PER_NODE=${GPUS_PER_NODE:-$((GPUS < 8 ? GPUS : 8))}
srun --partition="$1" --job-name="$2" ${GRES---gres=gpu:$PER_NODE} --ntasks="$GPUS" \
    --ntasks-per-node="$PER_NODE" --cpus-per-task="${CPUS_PER_TASK:-5}" --kill-on-bad-exit=1 $SRUN_ARGS \
    python -u "$(dirname "$0")/test.py" "$3" "$4" --launcher slurm "${@:5}"
