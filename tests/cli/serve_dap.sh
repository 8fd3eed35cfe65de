#!/usr/bin/env bash
# An editor's way: lldb-vscode, a debug adapter, works with rein's server, driven by the client library that the authors of VS Code
# test debug adapters with. It comes from npm, in the versions of dap/package-lock.json, into the build directory.
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)
. "$here/support.sh"
is_32_bit && skip "lldb is the machine's own"
adapter=$(command -v lldb-vscode || command -v lldb-vscode-14) || skip "no lldb-vscode"
command -v node >/dev/null || skip "no node"
modules=$REIN_BUILD/dap/node_modules
if ! cmp -s "$here/dap/package-lock.json" "$REIN_BUILD/dap/package-lock.json" || [ ! -d "$modules" ]; then
    command -v npm >/dev/null || skip "no npm"
    cp "$here"/dap/package*.json .
    timeout 100 npm ci --ignore-scripts --no-audit --no-fund --fetch-retries 1 >npm.log 2>&1 ||
        skip "npm cannot fetch the client: $(tail -n 3 npm.log)"
    rm -rf "$REIN_BUILD/dap"
    mkdir "$REIN_BUILD/dap"
    cp -r package-lock.json node_modules "$REIN_BUILD/dap"
fi

cp "$here/programs/squares.c" program.c
tracee -O0 -no-pie -fno-pie -o program program.c -pthread

make_debugserver
export LLDB_DEBUGSERVER_PATH=$PWD/debugserver

for kind in launch attach start; do
    timeout 150 node "$here/dap/client.js" "$modules" "$adapter" "$kind" || fail "$kind"
done
