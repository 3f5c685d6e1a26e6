#!/usr/bin/env bash
# Several hosts on one machine: network namespaces that a bridge joins, with a delay between them.
#
#     sudo bash benchmarks/namespaces.sh up HOSTS DELAY    # such as: up 2 100us; 0: none
#     sudo bash benchmarks/namespaces.sh mpi HOSTS COMMAND...
#     sudo bash benchmarks/namespaces.sh dask HOSTS COMMAND...
#     sudo bash benchmarks/namespaces.sh down
#
# Where the kernel has no netem, `python benchmarks/delay.py HOSTS SECONDS` is an `up` with a delay.
#
# `mpi` runs a command by MPICH's mpiexec, a rank on each host; messages take TCP. `dask` runs one on host 0, with
# a scheduler at tcp://10.77.0.1:8786 there and a worker of one thread on each other host. Host number i, from 0, is
# the namespace dlhost$i with the address 10.77.0.$((i + 1)).
set -euo pipefail

bridge=dlbridge

down() {
    for ns in $(ip netns list | awk '/^dlhost/ {print $1}'); do
        ip link del "dlveth${ns#dlhost}" 2>/dev/null || true
        ip netns del "$ns"
    done
    ip link del "$bridge" 2>/dev/null || true
}

up() { # HOSTS DELAY
    down
    ip link add "$bridge" type bridge
    ip link set "$bridge" up
    for ((i = 0; i < $1; i++)); do
        ip netns add "dlhost$i"
        ip link add "dlveth$i" type veth peer name eth0 netns "dlhost$i"
        ip link set "dlveth$i" master "$bridge" up
        ip -n "dlhost$i" addr add "10.77.0.$((i + 1))/24" dev eth0
        ip -n "dlhost$i" link set eth0 up
        ip -n "dlhost$i" link set lo up
        [ "$2" = 0 ] || ip netns exec "dlhost$i" tc qdisc add dev eth0 root netem delay "$2"
    done
}

mpi() { # HOSTS COMMAND...
    local n=$1 hosts='' launcher
    shift
    for ((i = 1; i <= n; i++)); do hosts+=${hosts:+,}10.77.0.$i:1; done
    launcher=$(mktemp)
    # mpiexec calls it as it would call ssh: [-x] HOST COMMAND...
    cat >"$launcher" <<'END'
#!/usr/bin/env bash
while [ "${1#-}" != "$1" ]; do shift; done
host=${1##*.}
shift
exec ip netns exec "dlhost$((host - 1))" bash -c "$*"
END
    chmod +x "$launcher"
    # All see one host name and one memory: NOLOCAL keeps the messages on the network.
    MPIR_CVAR_NOLOCAL=1 UCX_TLS=tcp,self UCX_NET_DEVICES=eth0 FI_PROVIDER=tcp FI_TCP_IFACE=eth0 ip netns exec dlhost0 mpiexec -launcher ssh \
        -launcher-exec "$launcher" -iface eth0 -hosts "$hosts" -n "$n" "$@" || { rm -f "$launcher"; return 1; }
    rm -f "$launcher"
}

dask() { # HOSTS COMMAND...
    local n=$1 address=tcp://10.77.0.1:8786 pids=()
    shift
    ip netns exec dlhost0 python -m distributed.cli.dask_scheduler --host 10.77.0.1 --port 8786 \
        --no-dashboard >/dev/null 2>&1 &
    pids+=($!)
    for ((i = 1; i < n; i++)); do
        ip netns exec "dlhost$i" python -m distributed.cli.dask_worker "$address" --nthreads 1 \
            --host "10.77.0.$((i + 1))" --no-dashboard >/dev/null 2>&1 &
        pids+=($!)
    done
    # Whatever ends this, they end.
    trap 'kill "${pids[@]}" 2>/dev/null; wait' EXIT
    ip netns exec dlhost0 "$@"
}

"$@"
