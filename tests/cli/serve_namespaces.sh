#!/usr/bin/env bash
# A process in namespaces of its own, as in a container: another root with other libraries, another numbering of processes, another user. The
# server outside attaches to it and gives gdb its files; or server and program are inside, and gdb outside.
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)
. "$here/support.sh"
. "$here/gdb.sh"
spaces=(unshare --user --map-root-user --mount --uts --ipc --net --pid --fork --kill-child)
timeout 20 "${spaces[@]}" true 2>/dev/null || skip "no namespaces of users here"

# Outside there is a library of the same name, with other contents.
echo 'int inside(int n) { int result = n * 2; return result; }' >inside.c
echo 'int other(void) { return 0; } int inside(int n) { return n; }' >outside.c
cat >boxed.c <<'C'
#include <pthread.h>
#include <stdio.h>
#include <unistd.h>
int inside(int n);
__attribute__((noinline)) int work(int n) { return inside(n) + 1; }
void *body(void *arg) { work(7); return arg; }
int main(void)
{
    pthread_t thread;
    printf("ready %d %d\n", getpid(), getuid());
    fflush(stdout);
    getchar();
    pthread_create(&thread, NULL, body, NULL);
    pthread_join(thread, NULL);
    printf("result: %d\n", work(20));
    return 6;
}
C
mkdir -p box/{app,lib64,lib,proc,old,bin} /tmp/rein-box.$$ app
box=/tmp/rein-box.$$
holder=
trap '[ -z "$holder" ] || kill "$holder" 2>/dev/null || true; rm -rf "$scratch"; rmdir "$box"' EXIT
tracee -O0 -shared -fPIC -Wl,-soname,libinside.so -o box/app/libinside.so inside.c
tracee -O0 -shared -fPIC -Wl,-soname,libinside.so -o app/libinside.so outside.c
tracee -O0 -pthread -o box/app/boxed boxed.c box/app/libinside.so -Wl,-rpath,/app
cp "$(type -P chroot)" box/bin/
for library in $(ldd box/bin/chroot box/app/boxed | grep -o '/[^ ]*' | grep -v ':$' | sort -u); do
    [ ! -e "$library" ] || [ "${library#"$scratch"}" != "$library" ] || cp --parents -L "$library" box/
done

# What a container's runtime does: a new root in memory, the old one put aside.
cat >contain.sh <<'B'
set -e
mount -t tmpfs box "$2"
cp -a "$1"/. "$2"
cd "$2"
mount -t proc proc proc
pivot_root . old
cd /
exec /bin/chroot . /app/boxed
B
mkfifo input
"${spaces[@]}" bash contain.sh "$PWD/box" "$box" <input >said 2>&1 &
holder=$!
exec 8>input
until_true 30 grep -q ready said || { wait "$holder" || true; cat said; skip "no container can be made here"; }
has said '^ready 1 0$'
program=$(pgrep -P "$holder")
gdb_says -ex "target extended-remote | $server --multi -" -ex "attach $program" <<'G'
info proc
info sharedlibrary
break inside
shell echo >input
continue
backtrace
printf "n: %d\n", n
info line inside
finish
info threads
delete
printf "called: %d\n", inside(4)
info proc mappings
detach
G
follow "^Attached; pid = $program" "^process $program" "^exe = '/app/boxed'" 'target:/app/libinside.so' 'hit Breakpoint 1, inside \(n=7\) at inside.c' '^#1 .*work \(n=7\)' \
    '^#2 .*body' '^n: 7$' 'of "inside.c"' 'Value returned is .* 14' "Thread $program\.$program " '\* 2 ' '^called: 8$' ' /app/libinside.so' 'detached'
exec 8>&-
status=0
wait "$holder" || status=$?
[ "$status" = 6 ] || { cat said; fail "status $status, not 6"; }
has said '^result: 41$'

# The server in there, whose numbers are those of its namespace; its socket is a file.
cat >served.sh <<'B'
set -e
mount -t proc proc /proc
exec "$@"
B
"${spaces[@]}" bash served.sh "$REIN_BINARY" serve -1 -l "unix:$PWD/socket" -- /usr/bin/env "LD_LIBRARY_PATH=$PWD/box/app" "$PWD/box/app/boxed" \
    </dev/null >said 2>&1 &
holder=$!
until_true 30 test -S socket || { cat said; fail "the server does not listen"; }
gdb_says -ex "target remote $PWD/socket" <<'G'
catch exec
continue
tbreak inside
continue
info proc
backtrace 2
continue
G
follow 'exec.d .*box/app/boxed' 'inside \(n=7\)' '^process [0-9]{1,2}$' '^#1 .*work' 'exited with code 06'
wait "$holder" || fail "the server has ended with status $?"
holder=
has said '^ready [0-9]{1,2} 0$'
has said '^result: 41$'
