#!/usr/bin/env bash
# Breakpoints in libraries that are loaded later have their place before the library's constructors run, are gone when it
# is unloaded, and come back with it; programs that execute others; and run-time linkers of all kinds.
set -euo pipefail
. "$(dirname "$0")/support.sh"

cat >plugin.c <<'C'
__attribute__((noinline)) void plugin_begins(void) { __asm__ volatile(""); }
__attribute__((constructor)) static void constructor(void) { plugin_begins(); }
__attribute__((noinline)) int plugin_work(int x) { __asm__ volatile(""); return x + 1; }
static __attribute__((noinline)) int plugin_hidden(int x) { __asm__ volatile(""); return x + 1; }
int plugin_run(int n) {
    int sum = 0;
    for (int i = 0; i < n; i++)
        sum = plugin_work(sum) + plugin_hidden(0);
    return sum;
}
C
cat >host.c <<'C'
#include <dlfcn.h>
#include <stdio.h>
int main(int argc, char **argv) {
    for (int i = 1; i < argc; i++) {
        void *plugin = dlopen(argv[i], RTLD_NOW);
        int (*run)(int) = plugin == NULL ? NULL : (int (*)(int))dlsym(plugin, "plugin_run");
        if (run == NULL || run(100) != 200)
            return puts(dlerror()), 1;
        dlclose(plugin);
    }
    return 0;
}
C
tracee -shared -fPIC -o plugin.so plugin.c
tracee -o host host.c -ldl
cp plugin.so other.so
wanted=(-b plugin_begins -b plugin_work -b plugin_hidden -b plugin.c:4 -b plugin.so:plugin_run)

ends 0 "$REIN_BINARY" trace -c "${wanted[@]}" ./host ./plugin.so ./plugin.so ./plugin.so
[ "$(hits err plugin_begins)" = 3 ]
[ "$(hits err plugin_work)" = 300 ]
[ "$(hits err 'plugin_hidden, plugin.c:4')" = 300 ]
[ "$(hits err plugin.so:plugin_run)" = 3 ]
has err '^rein: plugin_work: no such symbol yet; waiting for a library that has it' 1
has err '^\[[0-9]+\] plugin_work is now at 0x[0-9a-f]+: plugin_work \(plugin\.so, plugin\.c:3\)$' 1

# Two libraries that define the same, each with its own; never: said at the end.
ends 0 "$REIN_BINARY" trace -c -b plugin_work -b plugin.so:plugin_run -b no_such_name ./host ./plugin.so ./other.so ./plugin.so
[ "$(hits err plugin_work)" = 300 ]
[ "$(hits err plugin.so:plugin_run)" = 2 ]
has err '^ +[0-9]+  0x[0-9a-f]+  plugin_work \(' 2
has err '^ +- +never appeared +no_such_name$' 1

# Loaded and unloaded all the time, by threads.
cat >loads.c <<'C'
#include <dlfcn.h>
#include <pthread.h>
#include <stdlib.h>
static void *run(void *path) {
    for (int i = 0; i < 25; i++) {
        void *plugin = dlopen(path, RTLD_NOW);
        int (*plugin_run)(int) = (int (*)(int))dlsym(plugin, "plugin_run");
        if (plugin_run(10) != 20)
            abort();
        dlclose(plugin);
    }
    return NULL;
}
int main(int argc, char **argv) {
    pthread_t threads[4];
    for (int i = 1; i < argc; i++)
        pthread_create(&threads[i - 1], NULL, run, argv[i]);
    for (int i = 1; i < argc; i++)
        pthread_join(threads[i - 1], NULL);
    return 0;
}
C
tracee -o loads loads.c -ldl -lpthread
for i in 1 2 3 4; do cp plugin.so "plugin$i.so"; done
ends 0 "$REIN_BINARY" trace -c -b plugin_begins -b plugin_work ./loads ./plugin1.so ./plugin2.so ./plugin3.so ./plugin4.so
[ "$(hits err plugin_begins)" = 100 ]
[ "$(hits err plugin_work)" = 1000 ]

# Stripped, with the debug information elsewhere.
objcopy --only-keep-debug plugin.so plugin.debug
objcopy --strip-all --add-gnu-debuglink=plugin.debug plugin.so
ends 0 "$REIN_BINARY" trace -c "${wanted[@]}" ./host ./plugin.so
[ "$(hits err 'plugin_hidden, plugin.c:4')" = 100 ]
rm plugin.debug
ends 0 "$REIN_BINARY" trace -c -b plugin_work -b plugin_begins ./host ./plugin.so
[ "$(hits err plugin_work)" = 100 ]
[ "$(hits err plugin_begins)" = 1 ]

# Libraries that the program is linked with, from the first call on; the linker run as a command; one elsewhere.
cat >linked.c <<'C'
int plugin_run(int n);
int main(void) { return plugin_run(10) == 20 ? 0 : 1; }
C
tracee -o linked linked.c -L. -l:other.so -Wl,-rpath,"$PWD"
linker=$(readelf -l linked | sed -n 's/.*interpreter: \(.*\)\]/\1/p')
cp "$linker" linker
tracee -o elsewhere linked.c -L. -l:other.so -Wl,-rpath,"$PWD" -Wl,--dynamic-linker="$PWD/linker"
for command in ./linked "$linker ./linked" ./elsewhere; do
    read -ra words <<<"$command"
    ends 0 "$REIN_BINARY" trace -c -b plugin_begins -b plugin_work -b main "${words[@]}"
    [ "$(hits err plugin_begins)" = 1 ] || fail "$command: constructor"
    [ "$(hits err plugin_work)" = 10 ] || fail "$command"
done

# Static, with libraries all the same; musl.
if tracee -static -o static host.c 2>/dev/null; then
    ends 0 "$REIN_BINARY" trace -c -b other.so:plugin_work ./static ./other.so
    [ "$(hits err plugin_work)" = 100 ] || [ "$(hits err other.so:plugin_work)" = 100 ]
fi
if command -v musl-gcc >/dev/null; then
    TRACEE_CC=musl-gcc tracee -shared -fPIC -o musl.so plugin.c
    TRACEE_CC=musl-gcc tracee -o musl host.c
    ends 0 "$REIN_BINARY" trace -c "${wanted[@]}" ./musl ./musl.so
    [ "$(hits err plugin_begins)" = 1 ]
    [ "$(hits err plugin_work)" = 100 ]
    [ "$(hits err 'plugin_hidden, plugin.c:4')" = 100 ]
fi

# An exec brings another program, where all is looked for anew; what was there before adds up.
ends 0 "$REIN_BINARY" trace -c -b plugin_work sh -c 'exec ./host ./other.so'
[ "$(hits err plugin_work)" = 100 ]
cat >again.c <<'C'
#include <stdlib.h>
#include <unistd.h>
__attribute__((noinline)) void again(void) { __asm__ volatile(""); }
int main(int argc, char **argv) {
    int left = argc > 1 ? atoi(argv[1]) : 0;
    char text[] = {(char)('0' + left - 1), 0}, *arguments[] = {argv[0], text, NULL};
    for (int i = 0; i < 10; i++)
        again();
    if (left > 0)
        execv(argv[0], arguments);
    return 0;
}
C
tracee -o again again.c
tracee -o again_fixed again.c -no-pie
for program in ./again ./again_fixed; do
    ends 0 "$REIN_BINARY" trace -c -b again "$program" 5
    [ "$(hits err again)" = 60 ] || fail "$program"
    has err '^ +[0-9]+  0x[0-9a-f]+  again \(again\.c:3\)$' 1
    has err '^\[[0-9]+\] exec: ' 5
done
