# Sourced: hosts out of network namespaces, $NET1, $NET2, …, 10.77.N.1 and so on, joined by a bridge in $NET0. They go when the script ends.
NET=dsr

net_down() {
    for i in 0 $(seq 8); do
        ip netns del "$NET$i" 2>/dev/null
    done
}

# net_up HOSTS; net_shape RATE: both directions of each host, by a token bucket, as tc writes rates.
net_up() {
    ip netns list | grep -q "^${NET}0\\>" && { echo "there are some already" >&2; return 1; }
    ip netns add "${NET}0" || return 1
    trap 'net_down; rm -rf "$T"' EXIT
    ip -n "${NET}0" link add bridge type bridge && ip -n "${NET}0" link set bridge up || return 1
    for i in $(seq "$1"); do
        ip netns add "$NET$i" &&
            ip -n "$NET$i" link add eth0 type veth peer name "port$i" netns "${NET}0" &&
            ip -n "${NET}0" link set "port$i" master bridge up &&
            ip -n "$NET$i" address add "10.77.0.$i/24" dev eth0 &&
            ip -n "$NET$i" link set eth0 up && ip -n "$NET$i" link set lo up || return 1
        echo "10.77.0.$i slots=1" >>"$T/hostfile"
    done
    # what mpirun starts a daemon with, in the place of ssh: HOST COMMAND…
    cat >"$T/agent" <<AGENT
#!/bin/sh
host=\${1##*.}
shift
exec ip netns exec $NET\$host unshare --uts sh -c "hostname $NET\$host; \$*"
AGENT
    chmod +x "$T/agent"
    export OMPI_ALLOW_RUN_AS_ROOT=1 OMPI_ALLOW_RUN_AS_ROOT_CONFIRM=1 OMPI_MCA_plm_rsh_agent="$T/agent" PRTE_MCA_plm_ssh_agent="$T/agent"
}

net_shape() {
    for i in $(ip netns list | sed -n "s/^$NET\([1-9]\).*/\1/p"); do
        tc -n "$NET$i" qdisc replace dev eth0 root tbf rate "$1" burst 512kb latency 100ms
        tc -n "${NET}0" qdisc replace dev "port$i" root tbf rate "$1" burst 512kb latency 100ms
    done
}

# net_run RANKS COMMAND…, a rank a host
net_run() {
    ranks=$1
    shift
    ip netns exec "${NET}1" unshare --uts sh -c "hostname ${NET}1; exec \"\$@\"" sh timeout 100 mpirun -n "$ranks" -hostfile "$T/hostfile" "$@"
}
