#!/usr/bin/env bash
# CPU per request of the proxy example, beside nginx with one worker that does the same header swap: 64 connections, kept
# alive on both sides, a small JSON POST, scrubbing on (nginx has nothing of the kind). The proxy runs twice, with its keys
# in memory and in a SQLite database. Rounds alternate, and ratios are printed, because machines drift.
#
#     benches/proxy.sh [ROUNDS] [SECONDS]
#
# Needs nginx and wrk (`apt-get install nginx-light wrk`).
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

rounds=${1:-5} seconds=${2:-4}
work=$(mktemp -d)
pids=()
trap 'kill "${pids[@]}" 2>/dev/null || true; rm -rf "$work"' EXIT

[[ -n ${BUILT:-} ]] || cargo build --quiet --release --all-features --example proxy

# $1: name, $2: what its only server says.
nginx_conf() {
    cat >"$work/$1.conf" <<CONF
daemon off; worker_processes 1; pid $work/$1.pid; error_log $work/$1.log;
events { worker_connections 1024; }
http {
    access_log off; keepalive_requests 1000000000;
    client_body_temp_path $work/$1.body; proxy_temp_path $work/$1.proxy; fastcgi_temp_path $work/$1.f;
    uwsgi_temp_path $work/$1.u; scgi_temp_path $work/$1.s;
    upstream provider { server 127.0.0.1:18081; keepalive 64; keepalive_requests 1000000000; }
    server { $2 }
}
CONF
    nginx -c "$work/$1.conf" &
    pids+=($!)
}

nginx_conf provider 'listen 127.0.0.1:18081; location / { default_type application/json;
    return 200 "{\"id\":\"chatcmpl-1\",\"object\":\"chat.completion\",\"choices\":[{\"index\":0,\"message\":{\"role\":\"assistant\",\"content\":\"Hello, how can I help you today?\"}}]}"; }'
nginx_conf swap 'listen 127.0.0.1:18082; location / { proxy_pass http://provider; proxy_http_version 1.1;
    proxy_set_header Connection ""; proxy_set_header Host 127.0.0.1:18081;
    proxy_set_header Authorization "Bearer sk-bench-0123456789abcdefghijklmnop"; }'

# $1: port, $2: store. Sets `started`.
start() {
    target/release/examples/proxy serve --upstream http://127.0.0.1:18081 --listen "127.0.0.1:$1" --store "$2" \
        --key sk-bench-0123456789abcdefghijklmnop --key sk-bench-abcdefghijklmnop0123456789 >"$work/$1.out" 2>&1 &
    pids+=($!)
    started=$!
}
start 18083 memory
proxy=$started
start 18084 "sqlite:$work/data/keys.db"
kept=$started

cat >"$work/post.lua" <<'LUA'
wrk.method = "POST"
wrk.body = '{"model":"gpt-4o","messages":[{"role":"user","content":"Say hello to everybody in the room, please."}]}'
wrk.headers["Content-Type"] = "application/json"
wrk.headers["Authorization"] = "Bearer whatever-the-caller-has"
wrk.headers["User-Agent"] = "bench/1.0"
wrk.headers["Accept"] = "application/json"
LUA

# CPU clock ticks (user and system) of a process.
ticks() { awk '{ print $14 + $15 }' "/proc/$1/stat"; }

# $1: port, $2: pid. Prints microseconds of CPU per request, and of the median request's time.
measure() {
    local before after requests median
    before=$(ticks "$2")
    read -r median requests < <(wrk -t1 -c64 -d"${seconds}s" --latency -s "$work/post.lua" \
        "http://127.0.0.1:$1/v1/chat/completions" | awk '
            $1 == "50%" { median = $2 * ($2 ~ /us$/ ? 1 : $2 ~ /ms$/ ? 1e3 : 1e6) }
            /requests in/ { requests = $1 } /Non-2xx/ { exit 1 } END { print median, requests }')
    after=$(ticks "$2")
    awk -v t=$((after - before)) -v hz="$(getconf CLK_TCK)" -v n="$requests" -v m="$median" \
        'BEGIN { printf "%.2f %d\n", t / hz * 1e6 / n, m }'
}

# $1: column. Prints its median.
median() { awk -v c="$1" '{ print $c }' "$work/rounds" | sort -n | awk '{ a[NR] = $1 } END { print a[int((NR + 1) / 2)] }'; }

sleep 1
worker=$(pgrep -P "$(cat "$work/swap.pid")")
measure 18082 "$worker" >/dev/null
measure 18083 "$proxy" >/dev/null
measure 18084 "$kept" >/dev/null
echo 'CPU per request in us: nginx, proxy in memory, proxy in SQLite; their medians of time in us; ratios: memory to nginx, SQLite to memory, and of times'
for ((round = 1; round <= rounds; round++)); do
    read -r nginx nginx_time < <(measure 18082 "$worker")
    read -r ours time < <(measure 18083 "$proxy")
    read -r sqlite sqlite_time < <(measure 18084 "$kept")
    awk -v n="$nginx" -v o="$ours" -v s="$sqlite" -v nt="$nginx_time" -v t="$time" -v st="$sqlite_time" \
        'BEGIN { printf "%.2f %.2f %.2f  %d %d %d  %.2f %.2f %.2f\n", n, o, s, nt, t, st, o / n, s / o, st / t }'
done | tee "$work/rounds"
echo "medians: proxy to nginx $(median 7); SQLite to memory $(median 8) of CPU, $(median 9) of the median request's time"
awk '/VmRSS/ { print "proxy memory after the load: " $2 " KiB" }' "/proc/$proxy/status"
