# How dist_train.sh and dist_test.sh start one process for each GPU of this machine: launch NUMBER SCRIPT ARGUMENTS
# On one machine a free port is chosen, unless PORT is set; so several runs need not agree on theirs.
launch() {
    local where=(--standalone)
    if [ "${NNODES:-1}" != 1 ] || [ -n "$PORT" ]; then
        local port=${PORT:-29500}
        where=(--nnodes="${NNODES:-1}" --node_rank="${NODE_RANK:-0}" --master_addr="${MASTER_ADDR:-127.0.0.1}"
               --master_port="$port")
        if [ "${NODE_RANK:-0}" = 0 ] && (exec 3<>"/dev/tcp/127.0.0.1/$port") 2>/dev/null; then
            echo "port $port is in use, perhaps by another run: choose another, as in PORT=$((port + 1)) bash $0 ..." >&2
            return 2
        fi
    fi
    python -m torch.distributed.run "${where[@]}" --nproc_per_node="$1" "${@:2}"
}
